"""The base of runners that bring turns to workers by a queue."""

import logging
from datetime import timedelta
from uuid import UUID

from a2a_app import conf, database, runners
from a2a_app.agents import registry
from a2a_app.runners.base import Runner
from a2a_app.store import waiting

logger = logging.getLogger(__name__)

# How many turns one sweep enqueues again at most.
LIMIT = 200


async def work(task_id: str, *, slots: int | None = None) -> None:
    """Work on a task's turns until there are none. Each job of a queue calls this.

    Args:
        task_id: The id of the task.
        slots: How many jobs the process does at once, if that is fewer than MAX_RUNS.
    """
    runner = runners.current()
    await runner.begin()
    runner.worker.sign_on(slots)
    await runner.worker.work_on(UUID(task_id))


class QueuedRunner(Runner):
    """Brings turns to workers by a queue. Serving processes and workers both sweep.

    The queue may be anywhere, and may lose what it has. A kind of queue adds `enqueue_again`, which
    sends a job that calls `work`; it may raise what it likes.
    """

    async def start(self, task_id: UUID, claim: object = None, owner: object = None) -> None:
        """Enqueue the task's next turn, once the turn is stored."""
        try:
            await self.enqueue_again(task_id)
        except Exception:  # each queue has errors of its own; the sweep tries again
            logger.warning("Task %s was not enqueued.", task_id, exc_info=True)

    async def find_unstarted(self) -> list[UUID]:
        """Find turns that the queue has not brought to a worker within a lease."""
        patience = timedelta(seconds=conf.current().lease_seconds)
        return await database.run(
            waiting.overdue,
            agents=registry.slugs(),
            patience=patience,
            limit=LIMIT,
            besides=self.worker.revisions.missing(),
        )

    async def _start_unstarted(self) -> None:
        found = await self.find_unstarted()
        for number, task_id in enumerate(found):
            try:
                await self.enqueue_again(task_id)
            except database.AwayError:
                raise
            except Exception:  # as in `start`; those after it would fail too, each after a while
                logger.warning("Task %s was not enqueued.", task_id, exc_info=True)
                await database.run(waiting.wait_again, found[number:])
                return
