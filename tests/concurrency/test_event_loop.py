"""Work that is finished though nobody waits for it any more, and that does not fail in silence."""

import asyncio

import pytest

from a2a_app.concurrency.event_loop import shield

SECONDS = 10


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
