"""The base of runners that bring turns to workers by a queue."""

from datetime import timedelta
from uuid import UUID

from a2a_app import conf, database, runners
from a2a_app.agents import registry
from a2a_app.runners.base import Runner
from a2a_app.store import waiting

# How many turns one sweep enqueues again at most.
LIMIT = 200


async def work(task_id: str) -> None:
    """Work on a task's turns until there are none. Each job of a queue calls this."""
    runner = runners.current()
    await runner.begin()
    await runner.worker.work_on(UUID(task_id))


class QueuedRunner(Runner):
    """Brings turns to workers by a queue. Serving processes and workers both sweep."""

    async def find_unstarted(self) -> list[UUID]:
        """Find turns that the queue has not brought to a worker within a lease."""
        patience = timedelta(seconds=conf.current().lease_seconds)
        return await database.run(
            waiting.overdue, agents=registry.slugs(), patience=patience, limit=LIMIT
        )
