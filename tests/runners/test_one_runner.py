"""One runner in a process, also where settings change while it is at work, as in a test."""

import pytest

from a2a_app import database, models, runners
from tests.clients.json_rpc import JsonRpcClient
from tests.conftest import ChangeSettings
from tests.wire import load_message

AT_ONCE = {"returnImmediately": True}


async def test_settings_that_change_during_work_make_no_second_worker(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    await rpc.task()
    at_work = runners.current()
    a2a(MAX_RUNS=1)
    for _ in range(2):
        await rpc.result("SendMessage", message=load_message(end="hang"), configuration=AT_ONCE)
    # A second one would have the first turn, and this one would find the other.
    await at_work.sweep()
    begun = models.Run.objects.filter(started_at__isnull=False, ended_at=None)
    assert await database.read(begun.count) == 1


@pytest.mark.usefixtures("runtime")
async def test_a_runner_that_has_ended_is_followed_by_another_once_settings_change(
    a2a: ChangeSettings,
) -> None:
    ended = runners.current()
    await ended.begin()
    await ended.close()
    a2a(MAX_RUNS=1)
    await runners.current().begin()
    assert runners.current() is not ended
    assert not runners.current().worker.is_closing
