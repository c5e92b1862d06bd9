"""Claims, leases, and runs whose process is gone (R6, R7)."""

from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from a2a_app import models
from a2a_app.database.values import from_now
from a2a_app.models.run import Outcome
from a2a_app.protocol import TaskState
from a2a_app.store import runs
from a2a_app.store.claims import Claim, WorkerSlot
from a2a_app.store.refusals import RunLostError
from a2a_app.store.task_head import read_task_head
from a2a_app.store.updates import Credentials, MessageReceived, Returned, StateSaved
from a2a_app.store.waiting import are_neglected, overdue
from a2a_app.store.writes.append import append
from tests.store.writes.test_append import at_once
from tests.tasks import (
    LEASE,
    SCOPE,
    begin,
    begin_and_claim,
    chunk,
    claim_of,
    new_message,
    status,
    waiting,
)

pytestmark = pytest.mark.django_db

OVER = timedelta(seconds=-1)
WORKER_SLOT = WorkerSlot("one", LEASE)


def test_a_claim_tells_all_that_the_agent_needs() -> None:
    claim = begin_and_claim(text="do it")
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
    assert waiting("echo") == []
    assert runs.claim(task_id, WORKER_SLOT, agents=["echo"]) is None


def test_a_turn_that_is_stored_for_a_worker_slot_is_claimed_as_by_hand() -> None:
    enqueued: list[UUID] = []
    first = begin("do it", worker_slot=WORKER_SLOT, enqueue=enqueued.append).claim
    assert first is not None
    assert not enqueued
    by_hand = begin_and_claim(text="do it")
    for name in ("worker", "attempt", "metadata", "accepted_output_modes", "extensions", "user"):
        assert getattr(first, name) == getattr(by_hand, name)
    assert (first.context_state, first.context_version) == ({}, 0)
    assert first.message.text == by_hand.message.text
    assert (first.message.task_id, first.message.context_id) == (
        str(first.head.task_id), first.head.context_id,
    )  # fmt: skip  # the two halves of one comparison
    assert first.head == read_task_head(first.head.task_id)
    rows = {each.pk: each for each in models.Run.objects.all()}
    early, late = rows[first.run.id], rows[by_hand.run.id]
    assert (early.worker, early.attempt, early.turn) == (late.worker, late.attempt, late.turn)
    assert early.started_at is not None and early.lease_until is not None
    assert abs(early.lease_until - timezone.now() - LEASE) < timedelta(seconds=10)
    assert claim_of(first.head.task_id, "two") is None


def test_a_claim_has_the_user_whose_task_it_is() -> None:
    ann = User.objects.create(username="ann", email="ann@example.com")
    first = begin(user_id=ann.pk, worker_slot=WORKER_SLOT).claim
    by_hand = begin_and_claim(user_id=ann.pk)
    assert first is not None
    for user in (first.user, by_hand.user):
        assert isinstance(user, User)
        assert (user, user.email, user.is_authenticated) == (ann, ann.email, True)


def test_a_worker_slot_gets_the_next_turn_of_a_task_at_rest_with_the_state_of_its_context() -> None:
    claim = begin_and_claim()
    remembered = StateSaved({"step": 1}, claim.context_version)
    asked = status(TaskState.INPUT_REQUIRED)
    head = append(claim.head, [remembered, asked, Returned()], run=claim.run).head
    again = append(head, [MessageReceived(new_message("more"))], worker_slot=WORKER_SLOT).claim
    assert again is not None
    assert (again.run.turn, again.context_state, again.context_version) == (2, {"step": 1}, 1)
    assert append(again.head, [Returned()], run=again.run).head.state is TaskState.COMPLETED


def test_a_turn_that_has_to_wait_for_another_is_enqueued_and_not_claimed() -> None:
    enqueued: list[UUID] = []
    head = begin_and_claim().head
    appended = append(
        head,
        [MessageReceived(new_message("more"))],
        worker_slot=WORKER_SLOT,
        enqueue=enqueued.append,
    )
    assert appended.claim is None
    assert enqueued == [head.task_id]
    assert models.Run.objects.get(turn=2).worker == ""


def test_a_claim_that_is_put_back_may_be_taken_by_any_worker() -> None:
    first = begin(worker_slot=WORKER_SLOT).claim
    assert first is not None
    runs.put_back(first)
    assert waiting(SCOPE.agent) == [first.head.task_id]
    again = claim_of(first.head.task_id, "two")
    assert again is not None
    assert (again.run, again.attempt) == (first.run, 1)
    runs.put_back(first)
    assert claim_of(first.head.task_id, "three") is None


def test_a_turn_that_an_earlier_slot_of_the_worker_claimed_is_returned_to_it_alone() -> None:
    task_id, first = begin().head.task_id, WorkerSlot("one", LEASE)
    take = partial(runs.claim, task_id, agents=[SCOPE.agent])
    claim = take(first)
    assert claim is not None
    assert take(WorkerSlot("one", LEASE)) is None
    assert take(WorkerSlot("one", LEASE), earlier=[WorkerSlot("one", LEASE)]) is None
    assert take(WorkerSlot("two", LEASE), earlier=[WorkerSlot("two", LEASE, at=first.at)]) is None
    again = take(WorkerSlot("one", LEASE), earlier=[first, WorkerSlot("one", LEASE)])
    assert again == claim
    append(claim.head, [status(TaskState.COMPLETED)], run=claim.run)
    assert take(WorkerSlot("one", LEASE), earlier=[first]) is None


def test_a_turn_that_an_earlier_slot_claimed_and_lost_is_claimed_again() -> None:
    task_id, first = begin().head.task_id, WorkerSlot("one", OVER)
    assert runs.claim(task_id, first, agents=[SCOPE.agent]) is not None
    [lost] = runs.lost(limit=10)
    assert runs.retry(lost)
    again = runs.claim(task_id, WorkerSlot("one", LEASE), agents=[SCOPE.agent], earlier=[first])
    assert again is not None
    assert again.attempt == 2


def test_a_claim_that_is_returned_again_has_its_lease_from_then_on() -> None:
    task_id, first = begin().head.task_id, WorkerSlot("one", OVER)
    runs.claim(task_id, first, agents=[SCOPE.agent])
    assert runs.claim(task_id, WorkerSlot("one", LEASE), agents=[SCOPE.agent], earlier=[first])
    assert runs.lost(limit=10) == []


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_of_many_processes_that_claim_at_once_one_gets_the_turn() -> None:
    for _ in range(10):
        task_id = begin().head.task_id
        claims = at_once(*(partial(claim_of, task_id, name) for name in "abcd"))
        assert sum(isinstance(claim, Claim) for claim in claims) == 1
        assert sum(claim is None for claim in claims) == 3


@pytest.mark.django_db(transaction=True)
def test_a_turn_whose_task_ends_while_it_is_claimed_is_not_claimed_and_holds_nothing() -> None:
    head = begin().head
    ending: list[bool] = []

    def end_first(execute: Any, sql: str, *rest: Any) -> Any:
        """End the task after the turn was read and before it is claimed."""
        if sql.startswith(("BEGIN", "WITH")) and not ending:
            ending.append(True)
            at_once(lambda: append(head, [status(TaskState.CANCELED)]))
        return execute(sql, *rest)

    with connection.execute_wrapper(end_first):
        assert claim_of(head.task_id) is None
    task, run = models.Task.objects.get(), models.Run.objects.get()
    assert (task.state, task.run_id) == ("TASK_STATE_CANCELED", None)
    assert (run.outcome, run.worker) == ("dropped", "")


def test_a_process_that_has_no_agents_claims_nothing() -> None:
    assert runs.claim(begin().head.task_id, WORKER_SLOT, agents=[]) is None


def test_a_lease_is_renewed_for_its_own_worker_only() -> None:
    claim = begin_and_claim("one")
    assert runs.renew("two", [claim.run.id], lease=LEASE) == {claim.run.id}
    assert runs.renew("one", [claim.run.id], lease=LEASE) == set()


def test_a_run_is_lost_when_its_lease_is_over_and_not_before() -> None:
    claim = begin_and_claim("one")
    assert runs.lost(limit=10) == []
    runs.renew("one", [claim.run.id], lease=OVER)
    assert [run.id for run in runs.lost(limit=10)] == [claim.run.id]


def test_a_turn_that_nobody_has_begun_may_be_taken_by_any_process_at_once() -> None:
    head = begin().head
    begin_and_claim()
    assert waiting("load") == [head.task_id]
    assert runs.lost(limit=10) == []


def test_a_turn_that_its_queue_forgot_is_found_by_one_process_and_again_when_twice_as_old() -> None:
    task_id = begin().head.task_id
    begin_and_claim()
    find = partial(overdue, agents=["load"], limit=10)
    assert find(patience=timedelta(seconds=20)) == []
    ago = timezone.now() - timedelta(seconds=30)
    models.Run.objects.update(created_at=ago)
    models.Run.objects.filter(worker="").update(lease_until=ago)
    assert find(patience=timedelta(seconds=20)) == [task_id]
    assert find(patience=timedelta(seconds=20)) == []
    # It was thirty seconds old, so it is due again in thirty: twenty after this.
    early, late = from_now(timedelta(seconds=5)), from_now(timedelta(seconds=15))
    waiting = models.Run.objects.filter(worker="")
    assert waiting.filter(lease_until__gt=early, lease_until__lt=late).exists()
    models.Run.objects.filter(worker="").update(lease_until=from_now(timedelta(seconds=-21)))
    assert find(patience=timedelta(seconds=20)) == [task_id]
    assert claim_of(task_id) is not None


def test_a_lost_run_is_begun_again_by_another_and_its_old_process_writes_nothing_more() -> None:
    lost = begin_and_claim("one")
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


def test_the_next_attempt_has_the_credentials_of_the_message_and_the_lost_one_no_secret() -> None:
    given = Credentials("key 1", ("read",), ("load",), "sealed")
    lost = begin_and_claim("one", received=MessageReceived(new_message(), credentials=given))
    assert lost.credentials == given
    runs.renew("one", [lost.run.id], lease=OVER)
    [lost_run] = runs.lost(limit=10)
    assert runs.retry(lost_run) is True
    second = claim_of(lost.head.task_id, "two")
    assert second is not None and second.credentials == given
    assert models.Run.objects.get(pk=lost.run.id).handed_on == ""
    append(second.head, [Returned()], run=second.run)
    assert not models.Run.objects.exclude(handed_on="").exists()


def test_a_run_that_was_renewed_in_time_is_not_lost() -> None:
    claim = begin_and_claim("one")
    runs.renew("one", [claim.run.id], lease=OVER)
    [lost_run] = runs.lost(limit=10)
    runs.renew("one", [claim.run.id], lease=LEASE)
    assert runs.retry(lost_run) is False
    assert runs.fail_lost(lost_run, status(TaskState.FAILED, "gone")) is None
    append(claim.head, [status(TaskState.WORKING)], run=claim.run)


def test_the_task_of_a_lost_run_can_be_failed_with_a_reason() -> None:
    claim = begin_and_claim("one")
    runs.renew("one", [claim.run.id], lease=OVER)
    [lost_run] = runs.lost(limit=10)
    appended = runs.fail_lost(lost_run, status(TaskState.FAILED, "gone"))
    assert appended is not None and appended.head.state is TaskState.FAILED
    assert models.Run.objects.get().outcome == Outcome.LOST
    assert runs.lost(limit=10) == []


def test_a_turn_that_is_left_alone_after_it_was_lost_is_not_neglected() -> None:
    task_id = begin_and_claim().head.task_id
    models.Run.objects.filter(task=task_id).update(lease_until=from_now(-LEASE))
    [lost] = runs.lost(limit=10)
    assert runs.retry(lost, pause=LEASE)
    is_neglected = partial(are_neglected, agents=[SCOPE.agent], patience=-LEASE)
    assert not is_neglected()
    begin()
    assert is_neglected()


@pytest.mark.parametrize(
    "deal_with", [runs.retry, lambda run: runs.fail_lost(run, status(TaskState.FAILED))]
)
def test_the_row_of_a_task_is_locked_before_its_lost_run_as_by_whatever_writes_to_it(
    deal_with: Any,
) -> None:
    begin_and_claim()
    models.Run.objects.update(lease_until=from_now(OVER))
    [run] = runs.lost(limit=1)
    with CaptureQueriesContext(connection) as queries:
        assert deal_with(run)
    statements = [each["sql"] for each in queries if "SAVEPOINT" not in each["sql"]]
    # So the transaction begins with a write too, without which SQLite may refuse any later one.
    assert statements[0].startswith(f'UPDATE "{models.Task._meta.db_table}"')
