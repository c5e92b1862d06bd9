"""Work beside the event loop: which thread does it, when, and where its result goes."""

import asyncio
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import Queue

import pytest

from a2a_app.concurrency.threads import Pool, Watch, run_in_own_thread
from tests.servers import ROOT
from tests.threads import no_more_threads

SECONDS = 10.0
ENDS_IN_THE_MIDDLE = """
import asyncio, atexit, threading
import django
django.setup()
from a2a_app import database

begun, may_end = threading.Event(), threading.Event()

def work():
    begun.set()
    may_end.wait(10)
    print("done", flush=True)

async def main():
    asyncio.create_task(database.run(work))
    await asyncio.to_thread(begun.wait, 10)

atexit.register(may_end.set)
asyncio.run(main())
"""


class Gate:
    """Work that says when it has begun, and goes on when it may."""

    def __init__(self) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self) -> int:
        self.begun.set()
        assert self.may_end.wait(SECONDS)
        return threading.get_ident()


@pytest.fixture
def ended() -> list[int]:
    """List the threads that have ended."""
    return []


@pytest.fixture
def pool(ended: list[int]) -> Iterator[Pool]:
    made = Pool(2, name="test", at_end=lambda: ended.append(threading.get_ident()))
    yield made
    made.close()


async def test_one_thing_after_the_other_is_done_by_one_thread(pool: Pool) -> None:
    assert len({await pool.run(threading.get_ident) for _ in range(10)}) == 1


async def test_the_thread_that_was_used_last_has_the_next_work(pool: Pool) -> None:
    first, second = Gate(), Gate()
    async with asyncio.TaskGroup() as group:
        one, other = group.create_task(pool.run(first)), group.create_task(pool.run(second))
        assert await asyncio.to_thread(second.begun.wait, SECONDS)
        first.may_end.set()
        await one
        second.may_end.set()
    assert one.result() != other.result()
    assert await pool.run(threading.get_ident) == other.result()


async def test_work_that_comes_while_all_threads_are_busy_is_done_later_and_in_order(
    pool: Pool,
) -> None:
    gates, order = [Gate(), Gate()], list[int]()
    async with asyncio.TaskGroup() as group:
        busy = [group.create_task(pool.run(gate)) for gate in gates]
        for number in range(10):
            group.create_task(pool.run(partial(order.append, number)))
        for gate in gates:
            assert await asyncio.to_thread(gate.begun.wait, SECONDS)
        assert order == []
        # Only one thread goes on, so that the work has an order.
        gates[0].may_end.set()
        await busy[0]
        await pool.run(lambda: None)
        gates[1].may_end.set()
    assert order == list(range(10))
    assert len({task.result() for task in busy}) == 2


async def test_work_does_not_wait_for_a_thread_that_is_starting_while_another_is_free() -> None:
    may_start, busy = threading.Semaphore(1), Gate()

    def start() -> None:
        assert may_start.acquire(timeout=SECONDS)

    pool = Pool(2, name="test", at_start=start, at_end=lambda: None)
    async with asyncio.timeout(SECONDS):
        first = asyncio.create_task(pool.run(busy))
        assert await asyncio.to_thread(busy.begun.wait, SECONDS)
        second = asyncio.create_task(pool.run(threading.get_ident))
        await asyncio.sleep(0)  # it begins
        busy.may_end.set()
        assert await second == await first
        may_start.release()
        # The one that was used last has the next work, also once the other one has started.
        assert await pool.run(threading.get_ident) == await first
    await asyncio.to_thread(pool.close, SECONDS)


async def test_where_no_more_threads_can_be_started_those_that_there_are_do_the_work(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = Gate()
    none = Pool(1, name="test", at_end=lambda: None)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(pool.run(busy))
        assert await asyncio.to_thread(busy.begun.wait, SECONDS)
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", _refuse_to_start)
            second = group.create_task(pool.run(threading.get_ident))
            await asyncio.sleep(0)  # it begins
            with pytest.raises(RuntimeError, match="new thread"):
                await none.run(threading.get_ident)
        busy.may_end.set()
    assert first.result() == second.result()


def _refuse_to_start(thread: threading.Thread) -> None:
    """Refuse as Python does once a process ends."""
    raise RuntimeError("can't create new thread at interpreter shutdown")


@pytest.mark.parametrize("error", [ValueError("no"), StopIteration(), SystemExit(3)], ids=repr)
async def test_an_error_of_the_work_is_raised_where_it_is_awaited(
    pool: Pool, error: BaseException
) -> None:
    def work() -> None:
        raise error

    async with asyncio.timeout(SECONDS):
        try:
            await pool.run(work)
        except BaseException as raised:  # two of these are no Exception
            # Python lets no coroutine raise StopIteration: its RuntimeError has that for a cause.
            found = [raised, raised.__cause__]
    assert error in found


async def test_a_caller_that_is_cancelled_stops_waiting_and_the_work_goes_on(
    pool: Pool, ended: list[int]
) -> None:
    gate = Gate()
    waiting = asyncio.create_task(pool.run(gate))
    assert await asyncio.to_thread(gate.begun.wait, SECONDS)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.may_end.set()
    await asyncio.to_thread(pool.close)
    assert len(ended) == 1


async def test_closing_waits_for_all_that_was_given_and_ends_each_thread(
    pool: Pool, ended: list[int]
) -> None:
    gates, done = [Gate(), Gate()], list[str]()
    async with asyncio.TaskGroup() as group:
        busy = [group.create_task(pool.run(gate)) for gate in gates]
        group.create_task(pool.run(lambda: done.append("waited")))
        for gate in gates:
            assert await asyncio.to_thread(gate.begun.wait, SECONDS)
        closing = group.create_task(asyncio.to_thread(pool.close))
        for gate in gates:
            gate.may_end.set()
        await closing
    assert done == ["waited"]
    assert sorted(ended) == sorted(task.result() for task in busy)
    with pytest.raises(RuntimeError):
        await pool.run(lambda: None)


async def test_closing_waits_no_longer_than_it_is_told_to(pool: Pool) -> None:
    gate = Gate()
    waiting = asyncio.create_task(pool.run(gate))
    assert await asyncio.to_thread(gate.begun.wait, SECONDS)
    pool.close(0.01)
    gate.may_end.set()
    assert await waiting


@pytest.mark.slow
def test_work_that_takes_too_long_is_interrupted_again_and_again_and_no_other() -> None:
    interruptions: Queue[str] = Queue()
    watch = Watch(interruptions.put, name="test-watch")
    with watch.over("done", 0.01):
        pass
    with watch.over("patient", 2 * SECONDS), ThreadPoolExecutor(1) as other:
        other.submit(_be_interrupted_twice, watch, interruptions).result(SECONDS)
    assert interruptions.empty()


def _be_interrupted_twice(watch: Watch[str], interruptions: "Queue[str]") -> None:
    with watch.over("hasty", 0.01):
        for _ in range(2):
            assert interruptions.get(timeout=SECONDS) == "hasty"


async def test_a_thread_that_waits_for_work_keeps_nothing_of_the_last() -> None:
    class Large:
        pass

    pool = Pool(1, name="test", at_end=lambda: None)
    result = await pool.run(Large)
    known = weakref.ref(result)
    del result
    # That it takes the next says that it has let go of the last.
    await pool.run(lambda: None)
    assert known() is None
    pool.close()


@pytest.mark.slow
def test_work_under_way_as_a_process_ends_is_finished() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ENDS_IN_THE_MIDDLE],
        cwd=ROOT, timeout=60, capture_output=True, text=True, check=True,
        env={"DJANGO_SETTINGS_MODULE": "project.settings"},
    )  # fmt: skip  # one option a line hides what is run
    assert ended.stdout == "done\n"


async def test_a_thread_that_could_not_be_started_counts_as_ended() -> None:
    ended = asyncio.Event()
    ended.set()
    with no_more_threads(), pytest.raises(RuntimeError, match="thread"):
        await run_in_own_thread(threading.get_ident, ended=ended)
    assert ended.is_set()
    await run_in_own_thread(threading.get_ident, ended=ended)
    await asyncio.wait_for(ended.wait(), SECONDS)


def test_a_watch_whose_thread_could_not_be_started_starts_it_with_the_next_work() -> None:
    interrupted = threading.Event()
    watch: Watch[None] = Watch(lambda _: interrupted.set(), name="test-watch")
    with no_more_threads(), pytest.raises(RuntimeError, match="thread"), watch.over(None, 0.0):
        pass
    with watch.over(None, 0.0):
        assert interrupted.wait(SECONDS)
