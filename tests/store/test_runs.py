"""Claims, leases, and what becomes of runs whose process is gone (R6, R7)."""

from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from a2a_app import models
from a2a_app.models.run import Outcome
from a2a_app.protocol import TaskState
from a2a_app.store import runs
from a2a_app.store.append import append
from a2a_app.store.refusals import RunLostError
from tests.store.test_append import at_once
from tests.tasks import LEASE, begin, chunk, claim_of, claimed, status

pytestmark = pytest.mark.django_db

OVER = timedelta(seconds=-1)


def test_a_claim_tells_all_that_the_agent_needs() -> None:
    claim = claimed(text="do it")
    assert (claim.message.text, claim.run.turn, claim.attempt) == ("do it", 1, 1)
    assert claim.head.run_id == claim.run.id


def test_a_turn_is_claimed_once() -> None:
    task_id = begin().head.task_id
    assert claim_of(task_id, "one") is not None
    assert claim_of(task_id, "two") is None


def test_a_task_that_has_ended_has_no_turn_to_claim() -> None:
    head = append(begin().head, [status(TaskState.CANCELED)]).head
    assert claim_of(head.task_id, "one") is None


def test_a_turn_of_an_agent_that_a_process_does_not_have_is_left_to_others() -> None:
    task_id = begin().head.task_id
    assert runs.waiting(agents=["echo"], limit=10) == []
    assert runs.claim(task_id, "one", agents=["echo"], lease=LEASE) is None


@pytest.mark.django_db(transaction=True)
def test_of_many_processes_that_claim_at_once_one_gets_the_turn() -> None:
    for _ in range(10):
        task_id = begin().head.task_id
        claims = at_once(*(partial(claim_of, task_id, name) for name in "abcd"))
        assert sum(isinstance(claim, runs.Claim) for claim in claims) == 1
        assert sum(claim is None for claim in claims) == 3


def test_a_lease_is_renewed_for_its_own_worker_only() -> None:
    claim = claimed("one")
    assert runs.renew("two", [claim.run.id], lease=LEASE) == {claim.run.id}
    assert runs.renew("one", [claim.run.id], lease=LEASE) == set()


def test_a_run_is_lost_when_its_lease_is_over_and_not_before() -> None:
    claim = claimed("one")
    assert runs.lost(limit=10) == []
    runs.renew("one", [claim.run.id], lease=OVER)
    assert [run.id for run in runs.lost(limit=10)] == [claim.run.id]


def test_a_turn_that_nobody_has_begun_may_be_taken_by_any_process_at_once() -> None:
    head = begin().head
    claimed()
    assert runs.waiting(agents=["load"], limit=10) == [head.task_id]
    assert runs.lost(limit=10) == []


def test_a_turn_that_its_queue_forgot_is_found_by_one_process_and_again_when_twice_as_old() -> None:
    task_id = begin().head.task_id
    claimed()
    find = partial(runs.overdue, agents=["load"], limit=10)
    assert find(patience=timedelta(seconds=20)) == []
    ago = timezone.now() - timedelta(seconds=30)
    models.Run.objects.update(created_at=ago)
    models.Run.objects.filter(worker="").update(lease_until=ago)
    assert find(patience=timedelta(seconds=20)) == [task_id]
    assert find(patience=timedelta(seconds=20)) == []
    # Thirty seconds later.
    before = models.Run.objects.get(worker="").lease_until
    assert before is not None
    models.Run.objects.filter(worker="").update(lease_until=before - timedelta(seconds=29))
    assert find(patience=timedelta(seconds=20)) == []
    models.Run.objects.filter(worker="").update(lease_until=before - timedelta(seconds=31))
    assert find(patience=timedelta(seconds=20)) == [task_id]
    assert claim_of(task_id) is not None


def test_a_lost_run_is_begun_again_by_another_and_its_old_process_writes_nothing_more() -> None:
    lost = claimed("one")
    runs.renew("one", [lost.run.id], lease=OVER)
    [lost_run] = runs.lost(limit=10)
    assert runs.retry(lost_run) is True
    assert runs.retry(lost_run) is False
    second = claim_of(lost.head.task_id, "two")
    assert second is not None and second.attempt == 2
    with pytest.raises(RunLostError):
        append(lost.head, [chunk("late", append=False)], run=lost.run)
    assert runs.renew("one", [lost.run.id], lease=LEASE) == {lost.run.id}
    append(second.head, [chunk("new", append=False)], run=second.run)


def test_a_run_that_was_renewed_in_time_is_not_lost() -> None:
    claim = claimed("one")
    runs.renew("one", [claim.run.id], lease=OVER)
    [lost_run] = runs.lost(limit=10)
    runs.renew("one", [claim.run.id], lease=LEASE)
    assert runs.retry(lost_run) is False
    assert runs.fail_lost(lost_run, status(TaskState.FAILED, "gone")) is None
    append(claim.head, [status(TaskState.WORKING)], run=claim.run)


def test_the_task_of_a_lost_run_can_be_failed_with_a_reason() -> None:
    claim = claimed("one")
    runs.renew("one", [claim.run.id], lease=OVER)
    [lost_run] = runs.lost(limit=10)
    flush = runs.fail_lost(lost_run, status(TaskState.FAILED, "gone"))
    assert flush is not None and flush.head.state is TaskState.FAILED
    assert models.Run.objects.get().outcome == Outcome.LOST
    assert runs.lost(limit=10) == []
