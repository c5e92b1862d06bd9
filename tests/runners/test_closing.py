"""A write that is under way while the process ends is finished, and streams hear of it (R6)."""

import asyncio

import pytest
from channels.layers import get_channel_layer
from django.db.models.functions import Now
from pytest_django import Settings

from a2a_app import database, models, runners
from a2a_app.agents import Turn
from a2a_app.runners import base
from tests.channel_layers import Wavering
from tests.clients.operations import client_of
from tests.gate import SECONDS, Gate
from tests.wire import state

pytestmark = pytest.mark.usefixtures("runtime")


async def test_streams_hear_of_a_failure_that_is_written_while_the_process_ends(
    settings: Settings,
) -> None:
    settings.A2A = {
        **settings.A2A,
        "POLL_SECONDS": 600,
        "LEASE_SECONDS": 600,
        "DATABASE_THREADS": 1,
    }
    go_on, gate = asyncio.Event(), Gate()

    async def agent(turn: Turn) -> None:
        await go_on.wait()
        await gate.put()
        raise RuntimeError("as it happens")

    with client_of(agent) as client:
        task = await client.send(return_immediately=True)
        stream = client.subscribe(task.id)
        await anext(stream)
        go_on.set()
        assert await asyncio.to_thread(gate.reached.wait, SECONDS)
        closing = asyncio.create_task(runners.current().close())
        # More steps than it takes to give up what is under way; none of them waits for anything.
        for _ in range(50):
            await asyncio.sleep(0)
        gate.open.set()
        assert [state(event) async for event in stream] == ["FAILED"]
        await closing


async def test_a_turn_is_given_up_at_once_though_the_channel_layer_hangs(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "tests.channel_layers.Wavering"}}
    settings.A2A = {**settings.A2A, "LEASE_SECONDS": 600, "SHUTDOWN_SECONDS": 0}
    monkeypatch.setattr(base, "END_SECONDS", 1.0)
    begun = asyncio.Event()

    async def agent(turn: Turn) -> None:
        begun.set()
        await asyncio.Event().wait()

    with client_of(agent) as client:
        await client.send(return_immediately=True)
        await asyncio.wait_for(begun.wait(), SECONDS)
        layer = get_channel_layer()
        assert isinstance(layer, Wavering)
        layer.go_away("hangs")
        await runners.current().end()
    given_up = models.Run.objects.filter(ended_at=None, lease_until__lte=Now())
    assert await database.read(given_up.count) == 1
