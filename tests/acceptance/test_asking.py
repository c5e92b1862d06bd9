"""Agents on three servers that ask each other, while each server is killed in turn."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from a2a_app.client import Answer, RemoteAgent
from a2a_app.protocol import TaskState
from tests.conftest import ChangeSettings, Serve
from tests.servers import Process

SECONDS = 180
# What ends within the test: leases, and pauses between looks.
QUICK: dict[str, Any] = {"LEASE_SECONDS": 4, "SWEEP_SECONDS": 0.2, "PUT_AWAY_SECONDS": 60}


@pytest.fixture
def servers(serve: Serve) -> list[Process]:
    """Start three servers, each with a database of its own; each but the last asks the next."""
    third = serve(**QUICK)
    second = serve(REMOTE_AGENTS=after(third), **QUICK)
    return [serve(REMOTE_AGENTS=after(second), **QUICK), second, third]


def after(process: Process) -> dict[str, Any]:
    return {"next": {"URL": f"{process.url}/a2a/relay"}}


async def tasks_of(agent: RemoteAgent) -> list[Answer]:
    return [task async for task in agent.list()]


async def until(agent: RemoteAgent, number: int, state: TaskState) -> None:
    """Wait until an agent has so many tasks, and the newest is in a state."""
    while True:
        found = await tasks_of(agent)
        assert not any(task.state is TaskState.FAILED for task in found), found
        if len(found) == number and found[0].state is state:
            return
        await asyncio.sleep(0.1)  # the pause of a poll, as clients make it


def restart(process: Process) -> None:
    process.kill()
    process.start()


# Starting six servers alone may take most of the usual limit on a busy machine.
@pytest.mark.timeout(SECONDS + 120)
async def test_three_servers_that_are_killed_in_turn_answer_once_and_are_canceled_together(
    servers: list[Process], a2a: ChangeSettings, tmp_path: Path
) -> None:
    names = ["first", "second", "third"]
    urls = {
        name: {"URL": f"{each.url}/a2a/relay"} for name, each in zip(names, servers, strict=True)
    }
    a2a(REMOTE_AGENTS=urls)
    async with (
        asyncio.timeout(SECONDS),
        RemoteAgent("first") as first,
        RemoteAgent("second") as second,
        RemoteAgent("third") as third,
    ):
        asked = await first.send("Fetch it.")
        assert (asked.state, asked.text) == (TaskState.INPUT_REQUIRED, "Which file?")
        restart(servers[1])
        there = tmp_path / "there"
        await first.send(str(there), task=asked, return_immediately=True)
        await until(third, 1, TaskState.WORKING)
        for process in reversed(servers):
            restart(process)
        there.touch()
        await until(first, 1, TaskState.COMPLETED)
        assert (await first.get(asked)).message.text == "passed passed done"  # type: ignore[union-attr]  # it has one
        assert [len(await tasks_of(each)) for each in (second, third)] == [1, 1]

        hangs = await first.send("hang", return_immediately=True)
        await until(third, 2, TaskState.WORKING)
        await first.cancel(hangs)
        for each in (second, third):
            await until(each, 2, TaskState.CANCELED)
