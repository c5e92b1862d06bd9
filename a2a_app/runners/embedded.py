"""The embedded runner: turns run in the serving process, as tasks of its event loop."""

from contextlib import AbstractContextManager, nullcontext
from uuid import UUID

from a2a_app.concurrency.event_loop import is_brief
from a2a_app.runners.base import Runner
from a2a_app.runners.loops import await_in_background
from a2a_app.store.claims import Claim, WorkerSlot


class EmbeddedRunner(Runner):
    """Runs turns in one worker on each event loop that serves. It needs only the database."""

    runs_here = True

    def reserve_slot(self, owner: str) -> AbstractContextManager[WorkerSlot | None]:
        """Reserve one of this event loop's slots, if one is free for the owner."""
        if is_brief():
            return nullcontext()
        return self.worker.reserve_slot(owner)

    async def start(
        self, task_id: UUID, claim: Claim | None = None, owner: str | None = None
    ) -> None:
        """Work on the task's next turn on this event loop, or on one that lasts."""
        if is_brief():
            await await_in_background(self.start(task_id, owner=owner), self.end)
        elif claim is not None:
            await self.worker.start_claimed(claim)
        else:
            self.worker.start(task_id, owner)

    async def find_unstarted(self) -> list[UUID]:
        """Find as many turns as there are free slots here, for whose owners there is room."""
        free = self.worker.free_slots
        if free <= 0:
            return []
        return [turn.task_id for turn in await self.worker.find_waiting(limit=free)]

    async def serve(self, stop: object) -> None:
        """Raise NotImplementedError, since the serving processes do the work."""
        raise NotImplementedError(
            "The embedded runner works in the processes that serve: there is nothing for a worker "
            "to do. Set A2A['RUNNER'] to 'procrastinate', or see docs/deployment.md for others."
        )
