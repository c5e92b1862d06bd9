"""The URLs for probes: they tell states, to anybody, and nothing else."""

import json

import pytest
from django.db.migrations.recorder import MigrationRecorder

from a2a_app import broadcast, database, health, models
from tests.clients.json_rpc import JsonRpcClient
from tests.outages import away, lose_patience

LIVE, READY = "/a2a/health/live", "/a2a/health/ready"


def write_nothing() -> None:
    models.Task.objects.filter(seq=0).update(seq=0)


async def ask(rpc: JsonRpcClient, path: str = READY) -> tuple[int, dict[str, str]]:
    response = await rpc.http.get(path)
    assert "no-store" in response.headers["Cache-Control"]
    return response.status_code, json.loads(response.content)


async def test_a_process_with_all_it_needs_is_live_and_ready(rpc: JsonRpcClient) -> None:
    assert await ask(rpc, LIVE) == (200, {"status": "live"})
    assert await ask(rpc) == (
        200,
        {"status": "ready", "database": "ok", "migrations": "ok", "channel_layer": "ok"},
    )


@pytest.mark.usefixtures("reconnecting")
async def test_a_process_whose_database_is_away_is_live_and_not_ready(rpc: JsonRpcClient) -> None:
    await database.run(lose_patience)
    with away():
        with pytest.raises(database.AwayError):
            await database.run(write_nothing)
        for _ in range(2):
            status, found = await ask(rpc)
            assert (status, found["status"], found["database"]) == (503, "not ready", "away")
        assert (await ask(rpc, LIVE))[0] == 200


async def test_a_missing_migration_is_told_until_it_is_there(rpc: JsonRpcClient) -> None:
    def rename(old: str, new: str) -> None:
        rows = MigrationRecorder(database.connection()).migration_qs
        assert rows.filter(app=old, name="0001_initial").update(app=new)

    health._check_migrations.cache_clear()
    await database.run(rename, "a2a_app", "hidden")
    try:
        status, found = await ask(rpc)
        assert (status, found["database"], found["migrations"]) == (503, "ok", "missing")
    finally:
        await database.run(rename, "hidden", "a2a_app")
    assert (await ask(rpc))[0] == 200


async def test_a_channel_layer_that_is_away_is_told_and_no_reason_to_get_no_requests(
    rpc: JsonRpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broadcast, "seconds_away", lambda: 1.0)
    status, found = await ask(rpc)
    assert (status, found["status"], found["channel_layer"]) == (200, "ready", "away")
