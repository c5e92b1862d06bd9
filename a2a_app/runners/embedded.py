"""The embedded runner: turns run in the serving process, as tasks of its event loop."""

from contextlib import AbstractContextManager
from uuid import UUID

from a2a_app import database
from a2a_app.agents import registry
from a2a_app.runners.base import Runner
from a2a_app.store import runs
from a2a_app.store.claims import Claim, WorkerSlot


class EmbeddedRunner(Runner):
    """Runs turns in one worker on each event loop that serves. It needs only the database."""

    runs_here = True

    def reserve_slot(self) -> AbstractContextManager[WorkerSlot | None]:
        """Reserve one of this event loop's slots, if one is free."""
        return self.worker.reserve_slot()

    async def start(self, task_id: UUID, claim: Claim | None = None) -> None:
        """Work on the task's next turn on this event loop."""
        if claim is not None:
            await self.worker.start_claimed(claim)
        else:
            self.worker.start(task_id)

    async def find_unstarted(self) -> list[UUID]:
        """Find as many turns as there are free slots here, the oldest first."""
        free = self.worker.free_slots
        if free <= 0:
            return []
        return await database.read(runs.waiting, agents=registry.slugs(), limit=free)

    async def serve(self, stop: object) -> None:
        """Raise NotImplementedError, since the serving processes do the work."""
        raise NotImplementedError(
            "The embedded runner works in the processes that serve: there is nothing for a worker "
            "to do. Set A2A['RUNNER'] to 'procrastinate' or 'tasks'."
        )
