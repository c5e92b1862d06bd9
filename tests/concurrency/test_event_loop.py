"""Work that outlives its caller and does not fail in silence; code that cannot end its loop."""

import asyncio
import gc
from collections.abc import Callable, Coroutine
from itertools import product
from typing import Any, TypeVar

import pytest

from a2a_app.concurrency.event_loop import Contained, shield, wait_in_thread

SECONDS = 10

T = TypeVar("T")


class Work:
    """Work that waits, and then raises an error or returns a number."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun, self.may_end, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._error = error

    async def do(self) -> int:
        self.begun.set()
        await self.may_end.wait()
        self.ended.set()
        if self._error is not None:
            raise self._error
        return 5


async def leave(work: Work, **options: type[Exception]) -> None:
    """Begin work, wait for it, leave, and see it end."""
    async with asyncio.timeout(SECONDS):
        waiting = asyncio.create_task(shield(work.do(), **options))
        await work.begun.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        work.may_end.set()
        await work.ended.wait()
        # The callbacks of a task run after it is done.
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_a_caller_that_waits_gets_the_result_or_the_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    work = Work()
    work.may_end.set()
    assert await shield(work.do()) == 5
    failing = Work(ValueError("heard of"))
    failing.may_end.set()
    with pytest.raises(ValueError, match="heard of"):
        await shield(failing.do())
    assert not caplog.records


async def test_work_that_was_begun_is_finished_though_its_caller_has_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await leave(Work())
    assert not caplog.records


async def test_a_failure_that_nobody_waits_for_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    await leave(Work(ValueError("nobody would know")))
    assert "nobody would know" in caplog.text


async def test_a_refusal_that_nobody_waits_for_is_not(caplog: pytest.LogCaptureFixture) -> None:
    await leave(Work(KeyError("as the client would see")), refusals=LookupError)
    assert not caplog.records


Start = Callable[[Coroutine[Any, Any, None]], Coroutine[Any, Any, Any]]
# Since Python 3.12.
EAGER = getattr(asyncio, "eager_task_factory", None)


async def by_create_task(work: Coroutine[Any, Any, None]) -> None:
    await asyncio.create_task(work)


async def by_gather(work: Coroutine[Any, Any, None]) -> None:
    await asyncio.gather(work, asyncio.sleep(0))


async def by_group(work: Coroutine[Any, Any, None]) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(work)


async def by_grandchild(work: Coroutine[Any, Any, None]) -> None:
    await asyncio.create_task(by_create_task(work))


async def raising(error: BaseException, steps: int) -> None:
    for _ in range(steps):
        await asyncio.sleep(0)
    raise error


def in_loop(work: Coroutine[Any, Any, T], factory: Any = None) -> T:
    """Run work on an event loop of its own, so that one that ends is not the tests'."""
    with asyncio.Runner() as runner:
        runner.get_loop().set_task_factory(factory)
        return runner.run(work)


@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize(
    ("start", "factory"),
    # No group with eager tasks: Python 3.12.1 cancels its caller where one fails at once.
    [*product([by_create_task, by_gather, by_grandchild], {None, EAGER}), (by_group, None)],
)
def test_a_task_that_contained_code_starts_does_not_end_the_event_loop(
    start: Start, error: BaseException, steps: int, factory: Any
) -> None:
    async def serve() -> str:
        with pytest.raises((RuntimeError, ExceptionGroup)) as raised, Contained("The agent"):
            await start(raising(error, steps))
        found = raised.value
        [contained] = found.exceptions if isinstance(found, ExceptionGroup) else [found]
        assert str(contained) == f"The agent raised {error!r}"
        assert contained.__cause__ is error
        return "still there"

    assert in_loop(serve(), factory) == "still there"


def test_tasks_of_others_are_made_as_before_by_the_former_factory() -> None:
    made: list[Any] = []

    def factory(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        made.append(work)
        return asyncio.Task(work, loop=loop, **options)

    async def serve() -> None:
        with Contained("The agent"):
            pass
        work = asyncio.sleep(0, "done")
        assert await asyncio.create_task(work, name="mine") == "done"
        assert made[-1] is work
        with Contained("The agent"):
            task = asyncio.create_task(by_create_task(asyncio.sleep(0)), name="theirs")
        assert (task.get_name(), len(task.get_stack())) == ("theirs", 1)
        assert "by_create_task" in repr(task)
        await task

    in_loop(serve(), factory)


@pytest.mark.filterwarnings("error")
def test_a_contained_task_that_is_cancelled_before_its_first_step_leaves_no_warning() -> None:
    async def serve() -> None:
        with Contained("The agent"):
            task = asyncio.create_task(raising(SystemExit(3), 0))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    in_loop(serve())
    gc.collect()


@pytest.mark.filterwarnings("error")
def test_work_for_an_event_loop_that_has_ended_is_refused_and_leaves_no_warning() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        wait_in_thread(Work().do(), loop)
    gc.collect()
