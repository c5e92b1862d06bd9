"""Reading: what an agent may read of its task, of others and of files while it works on a turn."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from a2a_app import protocol
from a2a_app.concurrency.event_loop import wait_in_thread
from a2a_app.files.rows import read_file
from a2a_app.models.owners import Scope
from a2a_app.protocol import Message, Part
from a2a_app.store.claims import Claim
from a2a_app.store.reads.tasks import read_snapshot
from a2a_app.store.writes.writer import Writer

T = TypeVar("T")


class Reader:
    """The readings of a turn. In a synchronous agent: `turn.wait(turn.history())`."""

    # Each is set by Turn.
    _claim: Claim
    _writer: Writer
    _loop: asyncio.AbstractEventLoop
    _thread: int

    async def history(self, limit: int | None = None) -> list[Message]:
        """Read the newest `limit` messages of the task, oldest first, with this one; None: all."""
        return (await self._snapshot(limit)).history

    async def task(self) -> protocol.Task:
        """Read the task with its artifacts, as a client now sees it."""
        return await self._snapshot(None)

    async def referenced_tasks(self) -> list[protocol.Task]:
        """Read the tasks to which the message refers, without those that its owner may not see."""
        tasks = []
        for task_id in self._claim.message.reference_task_ids:
            try:
                snapshot = await self._writer.persist(read_snapshot, self._scope, task_id)
            except protocol.TaskNotFoundError:
                continue
            tasks.append(snapshot.task)
        return tasks

    async def read(self, part: Part) -> bytes:
        """Return the bytes of a part, whether they are in it or in a file.

        Raises:
            ValueError: The part has text, data or a URL of another server.
        """
        if part.raw is not None:
            return part.raw
        try:
            return await read_file(self._scope.owner, part.url or "", read=self._writer.persist)
        except LookupError:
            raise ValueError(f"The part has no bytes: {part.url or 'no raw, no url'}") from None

    def wait(self, reading: Coroutine[Any, Any, T]) -> T:
        """Return the result of a coroutine, for an agent that cannot await it.

        Raises:
            RuntimeError: The agent has `async`. Its event loop would wait for itself, for ever.
        """
        if threading.get_ident() == self._thread:
            reading.close()
            raise RuntimeError("turn.wait is for agents without `async`: await the coroutine.")
        return wait_in_thread(reading, self._loop)

    @property
    def _scope(self) -> Scope:
        return Scope(self._claim.head.agent, self._claim.head.owner)

    async def _snapshot(self, history_length: int | None) -> protocol.Task:
        # A read must see what this turn has written before.
        await self._writer.flushed()
        snapshot = await self._writer.persist(
            read_snapshot, self._scope, str(self._claim.head.task_id), history_length=history_length
        )
        return snapshot.task
