"""`manage.py a2a_reap`: runs whose process is gone, dealt with from outside."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from a2a_app import conf, models
from a2a_app.models.owners import Scope
from a2a_app.store import runs
from a2a_app.store.claims import WorkerSlot
from tests.tasks import LEASE, begin, waiting

pytestmark = pytest.mark.usefixtures("runtime")


def lost(agent: str, *, hours: float = 0) -> models.Task:
    """Make a task whose run was lost so many hours ago."""
    task_id = begin(scope=Scope(agent, "")).head.task_id
    assert runs.claim(task_id, WorkerSlot("gone", LEASE), agents=[agent]) is not None
    over = timezone.now() - timedelta(seconds=1, hours=hours)
    models.Run.objects.filter(task=task_id).update(lease_until=over)
    return models.Task.objects.get(pk=task_id)


def reap(*options: str) -> str:
    out = StringIO()
    call_command("a2a_reap", *options, stdout=out)
    return out.getvalue()


def state(task: models.Task) -> str:
    task.refresh_from_db()
    return task.state.removeprefix("TASK_STATE_")


def test_lost_runs_are_begun_again_or_their_tasks_failed_as_their_agents_declare() -> None:
    once, thrice = lost("load"), lost("load-retry")
    assert reap() == "1 begun again, 1 failed\n"
    assert (state(once), state(thrice)) == ("FAILED", "SUBMITTED")
    assert waiting("load-retry") == [thrice.pk]
    assert reap() == "No run is lost.\n"


def test_a_dry_run_says_what_would_be_done_and_does_nothing() -> None:
    task = lost("load")
    assert f"{task.pk} run" in reap("--dry-run")
    assert "would be failed" in reap("--dry-run")
    assert state(task) == "SUBMITTED"


def test_a_lost_run_of_an_unknown_agent_is_left_to_others_for_a_while() -> None:
    new, orphan = lost("of-a-newer-release"), lost("removed-long-ago", hours=1)
    assert reap() == "1 failed, 1 left to others\n"
    assert (state(new), state(orphan)) == ("SUBMITTED", "FAILED")


def test_a_turn_that_is_lost_again_is_left_alone_for_a_while() -> None:
    task = lost("load-retry")
    assert reap() == "1 begun again\n"
    slot = WorkerSlot("gone too", LEASE)
    assert runs.claim(task.pk, slot, agents=["load-retry"]) is not None
    before = timezone.now()
    models.Run.objects.filter(task=task, ended_at=None).update(
        lease_until=before - timedelta(seconds=1)
    )
    assert reap() == "1 begun again\n"
    third = models.Run.objects.get(task=task, ended_at=None)
    assert third.attempt == 3 and third.lease_until is not None
    pause = timedelta(seconds=conf.current().sweep_seconds)
    assert before + pause <= third.lease_until <= timezone.now() + pause
    assert waiting("load-retry") == []
    models.Run.objects.filter(pk=third.pk).update(lease_until=before)
    assert waiting("load-retry") == [task.pk]


def test_a_lost_run_that_cannot_be_dealt_with_keeps_no_other_waiting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    spoilt, other = lost("load", hours=1), lost("load")
    # As by a hand in the database.
    models.Task.objects.filter(pk=spoilt.pk).update(state="spoilt")
    assert reap() == "1 failed\n"
    assert state(other) == "FAILED"
    assert "could not be dealt with" in caplog.text
