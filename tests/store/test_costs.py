"""What operations cost: how many statements each unit of their database work is.

One statement more is one round trip more for every message. A change that needs one changes a
number here, where it is seen. A transaction is a savepoint, as tests have one of their own.
"""

import pytest
from django.db import connection
from pytest_django import DjangoAssertNumQueries

from a2a_app import models
from a2a_app.protocol import ListTasksRequest, TaskState
from a2a_app.store.claims import WorkerSlot
from a2a_app.store.durable.attempts import read_before
from a2a_app.store.durable.wake import wake
from a2a_app.store.durable.wakeups import begin_again, put_away, read_agenda
from a2a_app.store.reads import pages
from a2a_app.store.reads.tasks import find_waiting_task, owned_task_head, read_snapshot
from a2a_app.store.task_head import new_task_head
from a2a_app.store.updates import MessageReceived, Returned, Update
from a2a_app.store.writes.append import append
from tests.tasks import LEASE, SCOPE, begin, begin_and_claim, chunk, claim_of, new_message, status

pytestmark = pytest.mark.django_db

ON_POSTGRESQL = connection.vendor == "postgresql"
# A transaction is a savepoint here. What is one statement needs none.
SAVEPOINT = 2


def test_a_first_message_is_seven_statements_and_one_on_postgresql(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    head = new_task_head(agent=SCOPE.agent, owner=SCOPE.owner, context_id="new")
    with django_assert_num_queries(1 if ON_POSTGRESQL else SAVEPOINT + 7):
        # The context, the task, the message, the event, the run; what the owner has stored, and a
        # look whether it is too much.
        appended = append(
            head, [MessageReceived(new_message())], worker_slot=WorkerSlot("one", LEASE)
        )
    assert appended.claim is not None


def test_an_answer_given_at_once_is_five_statements_and_one_on_postgresql(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    claim = begin_and_claim()
    answer: list[Update] = [
        status(TaskState.WORKING),
        chunk("x", append=False, last=True),
        Returned(),
    ]
    with django_assert_num_queries(1 if ON_POSTGRESQL else SAVEPOINT + 5):
        # The guarded task; its events, the artifact, the end of the run, what the owner has stored.
        append(claim.head, answer, run=claim.run)


@pytest.mark.parametrize("count", [1, 100])
def test_chunks_are_two_statements_however_many_and_one_on_postgresql(
    count: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    claim = begin_and_claim()
    head = append(claim.head, [chunk("x", append=False)], run=claim.run).head
    with django_assert_num_queries(1 if ON_POSTGRESQL else SAVEPOINT + 2):
        append(head, [chunk("x") for _ in range(count)], run=claim.run)


def test_a_cancel_is_five_statements_and_three_on_postgresql(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    head = begin_and_claim().head
    with django_assert_num_queries(SAVEPOINT + (3 if ON_POSTGRESQL else 5)):
        # The guarded task, the event, what the owner has stored; the runs under way, the end of the
        # one there is.
        append(head, [status(TaskState.CANCELED)])


def test_a_claim_is_four_statements_and_two_on_postgresql(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    task_id = begin().head.task_id
    with django_assert_num_queries(2 if ON_POSTGRESQL else SAVEPOINT + 4):
        # The run with its task, the open artifacts; the task, and the run, taken.
        assert claim_of(task_id) is not None


def test_a_task_head_is_read_in_one_round_trip_on_postgresql(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    task_id = begin().head.task_id
    with django_assert_num_queries(1 if ON_POSTGRESQL else 2):
        # The task with its context; its open artifacts.
        owned_task_head(SCOPE, str(task_id))


def test_the_task_that_waits_in_a_context_is_one_statement_more(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    head = begin(context_id="asked").head
    with django_assert_num_queries(1):
        assert find_waiting_task(SCOPE, "asked") is None
    append(head, [status(TaskState.INPUT_REQUIRED)])
    with django_assert_num_queries(2 if ON_POSTGRESQL else 3):
        # The task's key; the task with its context; its open artifacts.
        found = find_waiting_task(SCOPE, "asked")
    assert found == owned_task_head(SCOPE, str(head.task_id))


@pytest.mark.parametrize("length", [None, 0])
def test_a_task_is_read_in_one_round_trip_on_postgresql(
    length: int | None,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    claim = begin_and_claim()
    end: list[Update] = [
        status(TaskState.WORKING, "a"),
        chunk("x", append=False, last=True),
        Returned(),
    ]
    append(claim.head, end, run=claim.run)
    with django_assert_num_queries(1 if ON_POSTGRESQL else 3 if length is None else 2):
        # The task with its context and its status message, the artifacts, the messages.
        read_snapshot(SCOPE, str(claim.head.task_id), history_length=length)


def test_some_of_a_tasks_messages_are_read_on_their_own(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    task_id = begin().head.task_id
    with django_assert_num_queries(2 if ON_POSTGRESQL else 3):
        read_snapshot(SCOPE, str(task_id), history_length=1)


@pytest.mark.parametrize("tasks", [1, 30])
def test_a_page_that_has_all_tasks_is_two_statements_however_many_there_are(
    tasks: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(tasks):
        claim = begin_and_claim()
        append(claim.head, [chunk("x", append=False, last=True), Returned()], run=claim.run)
    with django_assert_num_queries(2):
        # The tasks, their messages.
        pages.task_page(SCOPE, ListTasksRequest())


def test_only_the_first_of_several_pages_counts(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for _ in range(5):
        begin()
    with django_assert_num_queries(3):
        # The tasks, their messages, how many there are in all.
        first = pages.task_page(SCOPE, ListTasksRequest(page_size=2))
    with django_assert_num_queries(2):
        second = pages.task_page(
            SCOPE, ListTasksRequest(page_size=2, page_token=first.next_page_token)
        )
    assert second.next_page_token


def test_a_list_of_one_conversation_is_one_statement_more(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    begin(context_id="one")
    with django_assert_num_queries(3):
        # The conversation; the tasks, their messages.
        pages.task_page(SCOPE, ListTasksRequest(context_id="one"))


@pytest.mark.parametrize("turns", [1, 20])
def test_turns_are_woken_together_by_four_statements_however_many_are_due(
    turns: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(turns):
        claim = begin_and_claim()
        assert put_away(claim.head.task_id, claim.run, None, lambda: False)
        wake(claim.head.task_id)
    due = read_agenda([SCOPE.agent], 100).due
    with django_assert_num_queries(SAVEPOINT + (4 if ON_POSTGRESQL else 5)):
        # Their tasks are locked; their runs, once more; both are changed.
        assert len(begin_again(due)) == turns


def test_what_earlier_attempts_have_led_to_is_six_statements_and_three_on_postgresql(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    claim = begin_and_claim()
    append(claim.head, [status(TaskState.WORKING, "Charging.")], run=claim.run)
    assert put_away(claim.head.task_id, claim.run, None, lambda: False)
    run = models.Run.objects.get(attempt=2)
    with django_assert_num_queries(3 if ON_POSTGRESQL else 6):
        # How the turn has begun, what its client has said, and whether it has asked or used
        # something; what it has said; its steps.
        before = read_before(claim.head.task_id, run.pk, is_durable=True)
    assert before.said is not None and not before.said.is_over
