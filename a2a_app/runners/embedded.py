"""The embedded runner: turns run in the process that serves, as tasks of its event loop."""

import asyncio
import weakref
from uuid import UUID

from a2a_app.runners.base import Runner
from a2a_app.runners.sweep import sweep_for_ever
from a2a_app.runners.worker import Worker


class EmbeddedRunner(Runner):
    """One worker in each event loop that serves; needs nothing but the database."""

    def __init__(self) -> None:
        self._workers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Worker] = (
            weakref.WeakKeyDictionary()
        )
        self._sweeps: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[None]] = (
            weakref.WeakKeyDictionary()
        )

    async def start(self, task_id: UUID) -> None:
        """Work on the task's next turn on this event loop."""
        self._worker().start(task_id)

    async def begin(self) -> None:
        """Begin to sweep on this event loop."""
        self._worker()

    async def close(self) -> None:
        """End this event loop's work; what it leaves undone is for other processes."""
        loop = asyncio.get_running_loop()
        if loop in self._sweeps:
            self._sweeps.pop(loop).cancel()
            # It stays where it is: closed, it takes nothing that comes after this.
            await self._workers[loop].close()

    def _worker(self) -> Worker:
        loop = asyncio.get_running_loop()
        worker = self._workers.get(loop)
        if worker is None:
            worker = self._workers[loop] = Worker()
            self._sweeps[loop] = loop.create_task(sweep_for_ever(worker))
        return worker
