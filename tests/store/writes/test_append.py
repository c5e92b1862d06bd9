"""The one write path: numbers, transitions, derived rows, fencing (R1, R2, R3, R7, R9)."""

import json
import threading
from collections.abc import Callable
from functools import partial
from uuid import UUID

import pytest
from django.db import connection, connections
from pytest_django import DjangoAssertNumQueries

from a2a_app import models
from a2a_app.database.values import current_time
from a2a_app.models.run import Outcome
from a2a_app.protocol import TaskGenerationMismatchError, TaskState
from a2a_app.store.claims import WorkerSlot
from a2a_app.store.events import Appended
from a2a_app.store.reads.tasks import read_snapshot
from a2a_app.store.refusals import (
    ContextChangedError,
    RunLostError,
    TaskEndedError,
    UnknownArtifactError,
)
from a2a_app.store.task_head import read_task_head
from a2a_app.store.updates import MessageReceived, Returned, StateSaved, Update
from a2a_app.store.writes.append import append
from tests.tasks import LEASE, SCOPE, begin, begin_and_claim, chunk, claim_of, new_message, status

pytestmark = pytest.mark.django_db

TERMINAL = [TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELED, TaskState.REJECTED]


def test_a_new_task_its_message_its_event_and_its_run_are_stored_together() -> None:
    appended = begin("do it")
    task = models.Task.objects.get()
    assert (task.state, task.seq, task.turn) == ("TASK_STATE_SUBMITTED", 1, 1)
    assert [m.parts for m in task.messages.all()] == [[{"text": "do it"}]]
    assert [e.seq for e in task.events.all()] == [1]
    assert [(r.turn, r.attempt, r.worker) for r in task.runs.all()] == [(1, 1, "")]
    assert json.loads(appended.events[0].body)["statusUpdate"]["status"]["state"] == task.state


def test_events_are_numbered_without_gaps_over_many_appends() -> None:
    head = begin().head
    for text in ("one", "two", "three"):
        head = append(head, [status(TaskState.WORKING, text), status(TaskState.WORKING)]).head
    assert [e.seq for e in models.Event.objects.order_by("seq")] == list(range(1, 8))


@pytest.mark.parametrize("end", TERMINAL)
def test_nothing_follows_a_terminal_state(end: TaskState) -> None:
    before = begin().head
    after = append(before, [status(end)]).head
    for head in (before, after):  # also for a writer that has not heard of the end
        for update in (
            status(TaskState.WORKING),
            chunk("x", append=False),
            MessageReceived(new_message()),
        ):
            with pytest.raises(TaskEndedError):
                append(head, [update])
    assert models.Event.objects.count() == 2
    assert models.Message.objects.count() == 1


def test_a_batch_that_goes_on_after_a_terminal_state_is_refused_whole() -> None:
    head = begin().head
    with pytest.raises(TaskEndedError):
        append(head, [status(TaskState.COMPLETED), chunk("late", append=False)])
    assert models.Task.objects.get().state == "TASK_STATE_SUBMITTED"
    assert models.Event.objects.count() == 1


def test_a_chunk_for_an_unknown_artifact_is_refused_and_nothing_is_stored() -> None:
    head = begin().head
    with pytest.raises(UnknownArtifactError, match="'a'"):
        append(head, [status(TaskState.WORKING), chunk("x")])
    assert models.Event.objects.count() == 1


def test_a_chunk_for_a_closed_artifact_is_refused() -> None:
    head = append(begin().head, [chunk("x", append=False, last=True)]).head
    with pytest.raises(UnknownArtifactError):
        append(head, [chunk("y")])


def test_the_parts_of_an_artifact_are_stored_once_it_is_closed() -> None:
    head = append(begin().head, [chunk("0", append=False)]).head
    for text in ("1", "2"):
        head = append(head, [chunk(text)]).head
    assert models.Artifact.objects.get().parts == []
    append(head, [chunk("3", last=True)])
    assert models.Artifact.objects.get().parts == [{"text": "0123"}]


def test_the_end_of_a_task_closes_the_artifacts_that_are_open() -> None:
    head = append(begin().head, [chunk("0", append=False), chunk("x", key="b", append=False)]).head
    append(head, [chunk("1"), status(TaskState.COMPLETED)])
    found = models.Artifact.objects.order_by("artifact_id")
    assert [a.parts for a in found] == [[{"text": "01"}], [{"text": "x"}]]
    assert all(a.last_seq for a in found)


def test_an_artifact_that_begins_again_replaces_the_one_before() -> None:
    head = append(begin().head, [chunk("old", append=False), chunk("older")]).head
    head = append(head, [chunk("new", append=False)]).head
    append(head, [chunk("newer"), status(TaskState.COMPLETED)])
    assert models.Artifact.objects.get().parts == [{"text": "newnewer"}]


def test_a_status_message_becomes_history_when_the_next_status_comes() -> None:
    head = append(begin("question").head, [status(TaskState.WORKING, "thinking")]).head
    task = read_snapshot(SCOPE, str(head.task_id)).task
    assert task.status.message is not None and task.status.message.text == "thinking"
    assert [m.text for m in task.history] == ["question"]
    append(head, [status(TaskState.COMPLETED)])
    task = read_snapshot(SCOPE, str(head.task_id)).task
    assert task.status.message is None
    assert [m.text for m in task.history] == ["question", "thinking"]


def test_metadata_of_status_updates_is_gathered_in_the_task() -> None:
    head = append(begin().head, [status(TaskState.WORKING, metadata={"a": 1, "b": 1})]).head
    append(head, [status(TaskState.WORKING, metadata={"b": 2})])
    assert models.Task.objects.get().metadata == {"a": 1, "b": 2}


def test_a_message_to_a_task_that_rests_begins_a_new_turn() -> None:
    claim = begin_and_claim()
    head = append(
        claim.head, [status(TaskState.INPUT_REQUIRED, "?"), Returned()], run=claim.run
    ).head
    assert head.is_idle
    head = append(head, [MessageReceived(new_message("answer"))]).head
    assert (head.state, head.turn, head.answered) == (TaskState.SUBMITTED, 2, 1)
    assert [(r.turn, r.outcome) for r in models.Run.objects.order_by("turn")] == [
        (1, Outcome.YIELDED), (2, ""),
    ]  # fmt: skip  # a row of the table a line


def test_a_message_to_a_busy_task_waits_and_changes_no_state() -> None:
    claim = begin_and_claim()
    head = append(claim.head, [status(TaskState.WORKING)], run=claim.run).head
    appended = append(head, [MessageReceived(new_message("and another thing"))])
    assert appended.head.state is TaskState.WORKING
    assert appended.events[0].turn == 1
    assert claim_of(head.task_id, "two") is None


def test_messages_of_two_clients_that_have_seen_the_same_are_two_turns() -> None:
    claim = begin_and_claim()
    asked: list[Update] = [status(TaskState.INPUT_REQUIRED), Returned()]
    head = append(claim.head, asked, run=claim.run).head
    for turn in (2, 3):
        said_again = [MessageReceived(new_message(str(turn)))]
        appended = append(head, said_again, worker_slot=WorkerSlot("two", LEASE))
        assert (appended.head.turn, appended.claim is not None) == (turn, turn == 2)
    assert models.Run.objects.filter(turn__gt=1).count() == 2


def test_returning_completes_the_task_unless_another_message_waits() -> None:
    claim = begin_and_claim()
    append(claim.head, [MessageReceived(new_message("more"))])
    head = append(claim.head, [Returned()], run=claim.run).head
    assert (head.state, head.answered, head.run_id) == (TaskState.SUBMITTED, 1, None)
    second = claim_of(head.task_id, "one")
    assert second is not None and second.message.text == "more"
    head = append(second.head, [Returned()], run=second.run).head
    assert (head.state, head.answered) == (TaskState.COMPLETED, 2)


def test_a_run_that_lost_its_task_writes_nothing() -> None:
    claim = begin_and_claim()
    models.Task.objects.update(run=None)
    with pytest.raises(RunLostError):
        append(claim.head, [status(TaskState.WORKING)], run=claim.run)
    assert models.Event.objects.count() == 1


def test_the_end_of_a_task_ends_its_runs_and_names_the_workers_to_stop() -> None:
    claim = begin_and_claim(worker="far-away")
    append(claim.head, [MessageReceived(new_message("more"))])
    appended = append(read_task_head(claim.head.task_id), [status(TaskState.CANCELED)])
    assert appended.stopped == ((claim.run.id, "far-away"),)
    outcomes = models.Run.objects.order_by("turn").values_list("outcome", "lease_until")
    assert list(outcomes) == [(Outcome.CANCELED, None), (Outcome.DROPPED, None)]


def test_the_state_of_a_context_is_saved_with_the_event_or_not_at_all() -> None:
    head = append(begin().head, [StateSaved({"n": 1}, 0), status(TaskState.INPUT_REQUIRED)]).head
    assert models.Context.objects.get().state == {"n": 1}
    with pytest.raises(ContextChangedError):
        append(head, [StateSaved({"n": 9}, 0), status(TaskState.COMPLETED)])
    assert models.Context.objects.get().state == {"n": 1}
    assert models.Task.objects.get().state == "TASK_STATE_INPUT_REQUIRED"


def test_events_committed_before_the_connection_broke_are_not_committed_again() -> None:
    claim = begin_and_claim()
    at = current_time()
    updates: list[Update] = [status(TaskState.WORKING, "on it"), chunk("a", append=False)]
    first = append(claim.head, updates, run=claim.run, now=at)
    again = append(claim.head, updates, run=claim.run, now=at, is_retry=True)
    assert (again.head, again.events) == (first.head, first.events)
    assert models.Event.objects.count() == 3
    append(again.head, [chunk("b")], run=claim.run)


def test_nor_are_they_if_a_message_of_the_client_came_first() -> None:
    claim = begin_and_claim()
    append(claim.head, [MessageReceived(new_message("and another thing"))])
    at = current_time()
    updates: list[Update] = [chunk("a", append=False), chunk("a")]
    first = append(claim.head, updates, run=claim.run, now=at)
    late = append(first.head, [MessageReceived(new_message("and a third"))])
    again = append(claim.head, updates, run=claim.run, now=at, is_retry=True)
    assert (again.head, again.events) == (late.head, ())
    assert [e.turn for e in models.Event.objects.order_by("seq")] == [1, 1, 1, 1, 1]
    appended = append(again.head, [chunk("b")], run=claim.run)
    assert [event.seq for event in appended.events] == [6]


def test_events_not_committed_before_the_connection_broke_are_committed_the_second_time() -> None:
    claim = begin_and_claim()
    append(claim.head, [MessageReceived(new_message("and another thing"))])
    appended = append(
        claim.head, [status(TaskState.WORKING)], run=claim.run, now=current_time(), is_retry=True
    )
    assert [event.seq for event in appended.events] == [3]


def test_each_turn_is_enqueued_in_its_own_transaction() -> None:
    ordered: list[UUID] = []
    head = begin(enqueue=ordered.append).head
    append(head, [status(TaskState.WORKING)], enqueue=ordered.append)
    assert ordered == [head.task_id]

    def refuse(task_id: UUID) -> None:
        raise RuntimeError("The queue does not take it.")

    with pytest.raises(RuntimeError):
        begin(enqueue=refuse)
    assert models.Task.objects.count() == models.Run.objects.count() == 1


@pytest.mark.parametrize("chunks", [10, 1000])
def test_a_chunk_costs_the_same_statements_however_many_came_before(
    chunks: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    claim = begin_and_claim()
    texts = [chunk("0", append=False), *(chunk(str(n)) for n in range(1, chunks))]
    head = append(claim.head, texts, run=claim.run).head
    # Savepoint, guarded update, insert, release; PostgreSQL takes the two in the middle as one.
    with django_assert_num_queries(1 if connection.vendor == "postgresql" else 4):
        append(head, [chunk("one more")], run=claim.run)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_of_a_completion_and_a_cancel_at_the_same_instant_one_wins() -> None:
    for _ in range(30):
        head = begin().head
        outcomes = at_once(
            partial(append, head, [status(TaskState.COMPLETED)]),
            partial(append, head, [status(TaskState.CANCELED)]),
        )
        assert sorted(isinstance(outcome, TaskEndedError) for outcome in outcomes) == [False, True]
        events = models.Event.objects.filter(task=head.task_id).order_by("seq")
        assert [e.seq for e in events] == [1, 2]
        assert events[1].state == models.Task.objects.get(pk=head.task_id).state


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_of_two_messages_for_one_number_at_the_same_instant_one_is_taken() -> None:
    head = begin().head
    for number in range(1, 31):
        said = MessageReceived(new_message(), only_at=number)
        outcomes = at_once(partial(append, head, [said]), partial(append, head, [said]))
        [refused] = [each for each in outcomes if isinstance(each, TaskGenerationMismatchError)]
        [taken] = [each for each in outcomes if each is not refused]
        assert isinstance(taken, Appended)
        assert refused.metadata["expectedGeneration"] == str(number)
        assert refused.metadata["currentGeneration"] == str(number + 1)
        head = taken.head
    assert models.Message.objects.count() == 31


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_writers_that_race_leave_no_gap_and_lose_no_event() -> None:
    head = begin().head

    def write() -> None:
        for _ in range(20):
            append(read_task_head(head.task_id), [status(TaskState.WORKING)])

    assert at_once(*[write] * 6) == [None] * 6
    assert [e.seq for e in models.Event.objects.order_by("seq")] == list(range(1, 122))


@pytest.mark.django_db(transaction=True)
def test_a_snapshot_taken_while_others_write_is_the_task_at_exactly_its_number() -> None:
    head = append(begin().head, [chunk("0", append=False)]).head
    done = threading.Event()

    def write() -> None:
        current = head
        for number in range(1, 60):
            current = append(current, [chunk(str(number), last=number == 59)]).head
        done.set()

    def look() -> None:
        while not done.is_set():
            found = read_snapshot(SCOPE, str(head.task_id))
            texts = [part.text for part in found.task.artifacts[0].parts]
            assert texts == ["".join(str(n) for n in range(found.position.seq - 1))]

    assert at_once(write, look) == [None, None]


def at_once(*works: Callable[[], object]) -> list[object]:
    """Call each work in a thread, all at once; return each one's result or exception."""
    barrier = threading.Barrier(len(works))
    results: list[object] = [None] * len(works)

    def do(place: int, work: Callable[[], object]) -> None:
        try:
            barrier.wait(timeout=10)
            results[place] = work()
        except Exception as error:
            results[place] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=do, args=each) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    return results
