"""Stuck tasks: each kind is found, and nothing that goes on."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from a2a_app import models
from a2a_app.database.values import first_key_at
from a2a_app.figures import current, stuck
from a2a_app.figures.stuck import Stuck, stuck_tasks
from a2a_app.protocol import TaskState
from a2a_app.store.people import cancel
from a2a_app.store.updates import Returned
from a2a_app.store.writes.append import append
from tests.tasks import begin, begin_and_claim, status

pytestmark = pytest.mark.django_db


def lose() -> UUID:
    """Store a task whose worker is gone."""
    claim = begin_and_claim("gone")
    over = timezone.now() - timedelta(minutes=1)
    models.Run.objects.filter(pk=claim.run.id).update(lease_until=over)
    return claim.head.task_id


def queue(since: timedelta) -> UUID:
    """Store a task that waits for a worker."""
    task_id = begin().head.task_id
    models.Run.objects.filter(task=task_id).update(created_at=timezone.now() - since)
    return task_id


def orphan() -> UUID:
    """Store a task that says that it is worked on, of which something else has taken the run."""
    claim = begin_and_claim()
    append(claim.head, [status(TaskState.WORKING)], run=claim.run)
    models.Run.objects.filter(pk=claim.run.id).delete()
    return claim.head.task_id


def ask(since: timedelta) -> UUID:
    """Store a task that waits for its client; its key is as old as it is."""
    claim = begin_and_claim()
    append(claim.head, [status(TaskState.INPUT_REQUIRED, "Which?"), Returned()], run=claim.run)
    task_id, moment = claim.head.task_id, timezone.now() - since
    key = UUID(int=first_key_at(moment).int + (task_id.int & (1 << 80) - 1))
    for model in (models.Run, models.Message, models.Event):
        model._default_manager.filter(task=task_id).delete()
    models.Task.objects.filter(pk=task_id).update(id=key, status_at=moment, status_message=None)
    return key


def test_each_stuck_task_is_found_and_none_that_goes_on() -> None:
    minute, day = timedelta(minutes=1), timedelta(days=1)
    expected = {
        Stuck.LOST: [lose()],
        Stuck.QUEUED: [queue(2 * minute)],
        Stuck.IDLE: [orphan()],
        Stuck.ASKING: [ask(2 * day)],
    }
    queue(minute / 2)
    ask(day / 2)
    claim = begin_and_claim()
    append(claim.head, [status(TaskState.WORKING)], run=claim.run)
    ended = begin_and_claim()
    append(ended.head, [status(TaskState.COMPLETED), Returned()], run=ended.run)
    assert {why: stuck_tasks(why) for why in Stuck} == expected
    [idle] = expected[Stuck.IDLE]
    cancel(idle)
    assert stuck_tasks(Stuck.IDLE) == []


def test_no_more_is_looked_at_than_counted_and_no_more_listed_than_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tasks = [queue(timedelta(hours=1)) for _ in range(4)]
    assert sorted(stuck_tasks(Stuck.QUEUED)) == tasks
    monkeypatch.setattr(stuck, "LISTED", 3)
    assert len(stuck_tasks(Stuck.QUEUED)) == 3
    monkeypatch.setattr(current, "COUNTED", 1)
    assert len(stuck_tasks(Stuck.QUEUED)) == 2
