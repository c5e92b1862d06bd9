"""A replay of a followed task is the task as it would be read, or there is none."""

from collections.abc import Sequence
from typing import Any

import pytest

from a2a_app.protocol import Artifact, Part, TaskState
from a2a_app.store.claims import Claim
from a2a_app.store.events import Appended
from a2a_app.store.reads.replay import MAX_CHARACTERS, Replay
from a2a_app.store.reads.tasks import read_snapshot
from a2a_app.store.updates import ArtifactUpdate, MessageReceived, Returned, StatusUpdate, Update
from a2a_app.store.writes.append import append
from tests.tasks import SCOPE, begin, chunk, claim_of, new_message, status

pytestmark = pytest.mark.django_db

WORKING, COMPLETED = TaskState.WORKING, TaskState.COMPLETED


def rich(key: str, text: str, **more: Any) -> ArtifactUpdate:
    """Make an artifact with every member that one may have."""
    artifact = Artifact(
        artifact_id=key,
        name=f"Name of {text}",
        description="What it is.",
        parts=[Part(text=text), Part(data={"a": [1, 2.5, None]}), Part(raw=b"\0\xff")],
        metadata={text: text, "same": text},
        extensions=["https://example.com/" + text],
    )
    return ArtifactUpdate(artifact, **more)


ANSWERS: dict[str, list[list[Update]]] = {
    "nothing but its end": [[Returned()]],
    "an artifact at once": [[chunk("x", append=False, last=True), Returned()]],
    "an artifact that nobody closed": [[chunk("x", append=False)], [chunk("y")], [Returned()]],
    "artifacts that begin again": [
        [rich("a", "one"), rich("b", "two"), rich("a", "three", append=True, last_chunk=True)],
        [rich("a", "four"), rich("c", "five", metadata={"of": "the event"})],
        [rich("b", "six", append=True), Returned()],
    ],
    "words on the way": [
        [status(WORKING, "one", metadata={"a": 1, "b": 1}), status(WORKING)],
        [status(WORKING, "two"), status(WORKING, "three", metadata={"b": None})],
        [status(COMPLETED, "four", metadata={"c": {}})],
    ],
    "its failure": [[status(WORKING, "one")], [status(TaskState.FAILED, "two", error="trace")]],
    "its rejection": [[status(TaskState.REJECTED, "no")]],
}


def answered(updates: Sequence[Sequence[Update]]) -> tuple[Replay, Appended]:
    """Let a run answer a new task; return what was heard of it, and its last commit."""
    appended = begin(
        message=new_message("hello", metadata={"a": 1}, extensions=["https://example.com/x"])
    )
    replay = Replay(appended)
    claim = claim_of(appended.head.task_id)
    assert claim is not None
    head = claim.head
    for each in updates:
        appended = append(head, each, run=claim.run)
        head = appended.head
        replay.add(appended.events)
    return replay, appended


@pytest.mark.parametrize("length", [None, 0, 1, 2, 10])
@pytest.mark.parametrize("answer", ANSWERS)
def test_it_is_as_it_would_be_read(answer: str, length: int | None) -> None:
    replay, appended = answered(ANSWERS[answer])
    task = replay.end(appended.head.answered, history_length=length)
    found = read_snapshot(SCOPE, str(appended.head.task_id), history_length=length)
    assert task is not None
    assert task.to_dict() == found.task.to_dict()


@pytest.mark.parametrize("length", [None, 0, 1])
def test_a_new_task_is_as_it_would_be_read(length: int | None) -> None:
    appended = begin(message=new_message("hello", metadata={"a": 1}))
    found = read_snapshot(SCOPE, str(appended.head.task_id), history_length=length)
    assert Replay(appended).task(history_length=length).to_dict() == found.task.to_dict()
    assert appended.position == found.position


def test_it_is_not_given_before_its_end() -> None:
    replay, appended = answered([[status(TaskState.INPUT_REQUIRED, "Which?"), Returned()]])
    assert replay.end(appended.head.answered, history_length=None) is None


def test_it_is_not_given_where_it_is_not_known_how_many_messages_it_has() -> None:
    replay, _ = answered(ANSWERS["an artifact at once"])
    assert replay.end(0, history_length=None) is None


def interrupted() -> tuple[Replay, Appended, Claim]:
    """Let another message come while a run answers the first."""
    appended = begin()
    replay = Replay(appended)
    claim = claim_of(appended.head.task_id)
    assert claim is not None
    appended = append(claim.head, [MessageReceived(new_message("and this?"))])
    replay.add(appended.events)
    return replay, appended, claim


def test_it_is_not_given_where_another_message_came_meanwhile() -> None:
    replay, appended, claim = interrupted()
    appended = append(appended.head, [StatusUpdate(COMPLETED)], run=claim.run)
    replay.add(appended.events)
    assert replay.end(appended.head.answered, history_length=None) is None


def test_it_is_not_given_where_another_turn_has_ended_it() -> None:
    replay, appended, claim = interrupted()
    appended = append(appended.head, [Returned()], run=claim.run)
    assert appended.head.answered == 1
    replay.add(appended.events)
    following = claim_of(appended.head.task_id)
    assert following is not None
    replay.add(append(following.head, [Returned()], run=following.run).events)
    # As a follower that has heard of the first turn's end, and read the rest.
    assert replay.end(1, history_length=None) is None


def test_a_large_one_is_not_given() -> None:
    text = "x" * (MAX_CHARACTERS // 2)
    replay, appended = answered([[chunk(text, append=False)], [chunk(text), Returned()]])
    assert replay.end(appended.head.answered, history_length=None) is None
