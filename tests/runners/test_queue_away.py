"""A queue that takes no jobs for a while: its turns are offered to it again after a lease."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from a2a_app import database, models
from a2a_app.runners.queued import QueuedRunner
from a2a_app.store.waiting import overdue
from tests.tasks import SCOPE, begin

pytestmark = pytest.mark.usefixtures("runtime")


class Away(QueuedRunner):
    """A runner whose queue is away."""

    async def enqueue_again(self, task_id: UUID) -> None:
        """Send nothing."""
        raise OSError("The queue is away.")

    async def serve(self, stop: object) -> None:
        """Do nothing."""


async def test_turns_that_a_queue_did_not_take_are_offered_to_it_again_after_a_lease(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tasks = [(await database.run(begin)).head.task_id for _ in range(3)]
    long_ago = timezone.now() - timedelta(hours=1)
    waiting = models.Run.objects.filter(worker="")
    await database.run(lambda: waiting.update(created_at=long_ago, lease_until=long_ago))
    runner = Away()
    await runner.sweep()
    # The others would fail too, each after the time that the queue may take.
    assert caplog.text.count("was not enqueued.") == 1
    assert runner.seconds_neglected > 0, "the rest of the sweep is done"
    assert not await database.run(waiting.filter(lease_until__gt=Now()).exists)
    again = await database.run(
        lambda: overdue(agents=[SCOPE.agent], patience=timedelta(0), limit=10)
    )
    assert sorted(again) == sorted(tasks)
