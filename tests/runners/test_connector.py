"""The connector of a worker: jobs are taken and ended together, and none is lost."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias
from uuid import uuid4

import pytest
from django.db import connection
from procrastinate import App
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager

from a2a_app.runners import connector as connectors
from a2a_app.runners.connector import MOST_TAKEN, WorkerConnector

pytestmark = pytest.mark.usefixtures("runtime")

WAIT_SECONDS = 20


class Queue:
    """A queue of its own, since no test empties Procrastinate's tables."""

    def __init__(self, connector: WorkerConnector, worker_id: int) -> None:
        self.name = f"test-{uuid4().hex}"
        self.connector = connector
        self._worker_id = worker_id
        self._app = App(connector=connector)
        self._manager = JobManager(connector)

    async def add(self, jobs: int) -> None:
        for _ in range(jobs):
            await self._app.configure_task("nothing", queue=self.name).defer_async()

    async def take(self) -> Job | None:
        return await self._manager.fetch_job([self.name], self._worker_id)

    async def end(self, *jobs: Job | None) -> None:
        for job in jobs:
            assert job is not None
            await self._manager.finish_job(job, Status.SUCCEEDED, delete_job=True)

    async def states(self) -> dict[str, int]:
        found = await self._manager.list_jobs_async(queue=self.name)
        return dict(Counter(str(job.status) for job in found))

    @asynccontextmanager
    async def heard(self) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """Listen for jobs, and yield what waits until the next one was notified of."""
        notified = asyncio.Event()

        async def note(**_: Any) -> None:
            notified.set()

        async def wait() -> None:
            async with asyncio.timeout(WAIT_SECONDS):
                await notified.wait()
            notified.clear()

        listening = asyncio.create_task(
            self._manager.listen_for_jobs(on_notification=note, queues=[self.name])
        )
        try:
            # It listens once it is notified of a job, which is taken away again.
            async with asyncio.timeout(WAIT_SECONDS):
                while not notified.is_set():
                    await self.add(1)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(0.1):
                            await notified.wait()
            while job := await self.take():
                await self.end(job)
            notified.clear()
            yield wait
        finally:
            listening.cancel()
            await asyncio.wait([listening])


Open: TypeAlias = Callable[..., Awaitable[Queue]]


@pytest.fixture
async def open_queue() -> AsyncIterator[Open]:
    opened: list[WorkerConnector] = []

    async def make(concurrency: int, slots: Callable[[], int] = lambda: 20) -> Queue:
        connector = WorkerConnector(concurrency, slots)
        opened.append(connector)
        await connector.open_async()
        return Queue(connector, await JobManager(connector).register_worker())

    yield make
    for each in opened:
        await each.close_async()


if connection.vendor == "postgresql":  # Procrastinate has no tables elsewhere

    async def test_jobs_that_wait_are_taken_together_and_given_out_in_order(
        open_queue: Open,
    ) -> None:
        queue = await open_queue(20)
        await queue.add(MOST_TAKEN + 1)
        first = await queue.take()
        assert await queue.states() == {"doing": MOST_TAKEN, "todo": 1}
        others = [await queue.take() for _ in range(MOST_TAKEN)]
        keys = [job.id for job in (first, *others) if job is not None and job.id is not None]
        assert len(keys) == MOST_TAKEN + 1
        assert keys == sorted(keys)

    async def test_no_more_jobs_are_taken_than_the_worker_has_room_for(open_queue: Open) -> None:
        queue = await open_queue(3)
        await queue.add(9)
        at_work = [await queue.take() for _ in range(3)]
        assert await queue.states() == {"doing": 3, "todo": 6}
        await queue.end(*at_work[:2])
        await queue.take()
        assert (await queue.states())["todo"] == 4

    async def test_no_job_is_taken_while_turns_of_a_lost_connection_have_all_slots(
        open_queue: Open,
    ) -> None:
        free = [0, 0, 1]
        queue = await open_queue(20, lambda: free.pop(0))
        await queue.add(3)
        assert [await queue.take() for _ in range(2)] == [None, None]
        assert await queue.take() is not None
        assert await queue.states() == {"doing": 1, "todo": 2}

    async def test_a_queue_that_was_empty_is_asked_again_once_a_job_was_notified_of(
        open_queue: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connectors, "EMPTY_SECONDS", 1000.0)
        queue = await open_queue(20)
        async with queue.heard() as wait:
            assert await queue.take() is None
            await queue.add(1)
            await wait()
            assert await queue.take() is not None

    async def test_a_queue_that_was_empty_is_asked_again_after_a_while(
        open_queue: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connectors, "EMPTY_SECONDS", 0.0)
        queue = await open_queue(20)
        assert await queue.take() is None
        await queue.add(1)
        assert await queue.take() is not None

    async def test_jobs_that_have_ended_are_deleted_together_also_where_one_is_gone(
        open_queue: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connectors, "END_SECONDS", 1000.0)
        queue = await open_queue(20)
        await queue.add(3)
        ended = [await queue.take() for _ in range(3)]
        await queue.end(*ended)
        assert await queue.states() == {"doing": 3}
        _, gone, _ = ended
        assert gone is not None
        async with queue.connector.pool.connection() as one:
            await one.execute("DELETE FROM procrastinate_jobs WHERE id = %s", [gone.id])
        await queue.connector.close_async()
        reader = await open_queue(1)
        reader.name = queue.name
        assert await reader.states() == {}

    async def test_a_job_that_was_taken_and_not_begun_is_given_back_as_its_worker_ends(
        open_queue: Open,
    ) -> None:
        ends, goes_on = await open_queue(20), await open_queue(20)
        goes_on.name = ends.name
        await ends.add(MOST_TAKEN)
        assert await ends.take() is not None
        assert await goes_on.states() == {"doing": MOST_TAKEN}
        await ends.connector.close_async()
        assert await goes_on.states() == {"doing": 1, "todo": MOST_TAKEN - 1}
        assert await goes_on.take() is not None
