"""Looking up names: on threads of its own, each owner its share, and nobody waits for ever."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
from pytest_django import Settings

from a2a_app.push.addresses import LOOKUPS
from a2a_app.push.targets import UnresolvedError, check_url, resolve
from tests.resolver import resolve_by

PUBLIC = "93.184.215.14"
SECONDS = 10


class SlowNames:
    """A resolver that has no answer to names with `slow` in them until the test ends."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.end = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._asked_more = asyncio.Event()

    def __call__(self, host: str) -> list[str]:
        self.asked.append((host, threading.current_thread().name))
        self._loop.call_soon_threadsafe(self._asked_more.set)
        if "slow" in host:
            assert self.end.wait(60)
        return [PUBLIC]

    async def are_asked(self, count: int) -> None:
        """Wait until so many names were asked for."""
        async with asyncio.timeout(SECONDS):
            while len(self.asked) < count:
                self._asked_more.clear()
                await self._asked_more.wait()


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> AsyncIterator[SlowNames]:
    made = SlowNames()
    resolve_by(monkeypatch, made)
    settings.A2A = {**settings.A2A, "PUSH_TIMEOUT_SECONDS": 30}
    yield made
    made.end.set()


def look_up(name: str, owner: str) -> "asyncio.Task[str]":
    url = check_url(f"https://{name}.example/")
    return asyncio.create_task(resolve(url, owner=owner))


async def test_slow_names_hold_up_neither_files_nor_the_names_of_others(names: SlowNames) -> None:
    slow = [look_up(f"slow-{number}", "a") for number in range(3 * LOOKUPS)]
    await names.are_asked(12)
    async with asyncio.timeout(SECONDS):
        # asyncio's own threads: those that uploads and much else use.
        assert await asyncio.to_thread(lambda: "done") == "done"
        assert await look_up("quick", "b") == PUBLIC
    assert len(names.asked) < LOOKUPS
    assert {thread.rpartition("_")[0] for _, thread in names.asked} == {"a2a-names"}
    for task in slow:
        task.cancel()
    names.end.set()
    await asyncio.gather(*slow, return_exceptions=True)


@pytest.mark.slow
async def test_a_name_without_an_answer_is_given_up_and_its_thread_is_not_counted_free(
    names: SlowNames, settings: Settings
) -> None:
    settings.A2A = {**settings.A2A, "PUSH_TIMEOUT_SECONDS": 0.1}
    async with asyncio.timeout(SECONDS):
        slow = [look_up(f"slow-{number}", "a") for number in range(LOOKUPS)]
        results = await asyncio.gather(*slow, return_exceptions=True)
    assert {type(result) for result in results} == {UnresolvedError}
    under_way = len(names.asked)
    with pytest.raises(UnresolvedError):
        await look_up("quick", "a")
    assert len(names.asked) == under_way < LOOKUPS
    names.end.set()
    async with asyncio.timeout(SECONDS):
        found: list[object] = []
        while PUBLIC not in found:
            found[:] = await asyncio.gather(look_up("quick", "a"), return_exceptions=True)


async def test_an_owner_that_waits_comes_before_one_that_has_more(names: SlowNames) -> None:
    greedy = [look_up(f"slow-{number}", "a") for number in range(2 * LOOKUPS)]
    await names.are_asked(12)
    others = [look_up(f"slow-{number}-of-b", "b") for number in range(LOOKUPS)]
    await names.are_asked(15)
    late = look_up("quick-of-c", "c")
    async with asyncio.timeout(SECONDS):
        assert await late == PUBLIC
    for task in (*greedy, *others):
        task.cancel()
    names.end.set()
    await asyncio.gather(*greedy, *others, return_exceptions=True)
