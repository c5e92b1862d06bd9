"""Projection, without a database: the events of updates, byte for byte, and the new head."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from a2a_app import protocol
from a2a_app.database.values import current_time
from a2a_app.protocol import Artifact, Message, StreamResponse, TaskState
from a2a_app.store.task_head import RunKey, TaskHead
from a2a_app.store.updates import ArtifactUpdate, MessageReceived, Returned, StatusUpdate, Update
from a2a_app.store.writes.projection import check, project
from tests.protocol.generated import STRUCTS, models
from tests.tasks import chunk, new_message, status

RUN = RunKey(UUID(int=3), turn=1)
HEAD = TaskHead(
    task_id=UUID(int=1),
    context_key=UUID(int=2),
    context_id='of "someone"',
    agent="load",
    owner="",
    state=TaskState.WORKING,
    seq=7,
    turn=1,
    run_id=RUN.id,
)
IDS = {"task_id": str(HEAD.task_id), "context_id": HEAD.context_id}
AT = current_time()
MANY = settings(
    max_examples=50,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def bodies(*updates: Any, head: TaskHead = HEAD) -> list[str]:
    return [event.body for event in project(head, updates, run=RUN, at=AT).events]


@MANY
@given(models(Message) | st.none(), STRUCTS)
def test_the_event_of_a_status_is_written_as_its_objects_are(
    message: Message | None, metadata: dict[str, Any]
) -> None:
    event = protocol.TaskStatusUpdateEvent(
        **IDS,
        status=protocol.TaskStatus(state=TaskState.WORKING, message=message, timestamp=AT),
        metadata=metadata,
    )
    update = StatusUpdate(TaskState.WORKING, message, metadata)
    assert bodies(update) == [StreamResponse(status_update=event).to_json()]


@MANY
@given(models(Artifact), st.booleans(), st.booleans(), STRUCTS)
def test_the_event_of_a_chunk_is_written_as_its_objects_are(
    artifact: Artifact, append: bool, last_chunk: bool, metadata: dict[str, Any]
) -> None:
    about: dict[str, Any] = {"append": append, "last_chunk": last_chunk, "metadata": metadata}
    event = protocol.TaskArtifactUpdateEvent(**IDS, artifact=artifact, **about)
    begun = check(HEAD, ArtifactUpdate(artifact))
    assert bodies(ArtifactUpdate(artifact, **about), head=begun) == [
        StreamResponse(artifact_update=event).to_json()
    ]


@pytest.mark.parametrize(
    "bad",
    [
        StatusUpdate(TaskState.WORKING, metadata={"a": object()}),
        StatusUpdate(TaskState.WORKING, metadata={"a": "\0"}),
        ArtifactUpdate(chunk("x").artifact, metadata={"a": "\0"}),
        ArtifactUpdate(chunk("x").artifact, last_chunk="no"),  # type: ignore[arg-type]  # an agent's
    ],
)
def test_unchecked_content_of_an_agent_is_refused_where_it_cannot_be_stored(
    bad: StatusUpdate | ArtifactUpdate,
) -> None:
    with pytest.raises(ValidationError):
        bodies(bad)


def test_many_updates_make_one_task_head_and_leave_the_one_before() -> None:
    updates: list[Update] = [
        chunk("one", append=False),
        chunk("two"),
        chunk("three", last=True),
        chunk("other", key="b", append=False),
        MessageReceived(new_message("and now?")),
        status(TaskState.WORKING, metadata={"a": 1}),
        Returned(),
    ]
    change = project(HEAD, updates, run=RUN, at=AT)
    assert [event.seq for event in change.events] == [8, 9, 10, 11, 12, 13]
    assert change.before is HEAD
    assert (HEAD.seq, HEAD.turn, HEAD.metadata, HEAD.artifacts) == (7, 1, {}, {})
    after = change.head
    assert (after.seq, after.turn, after.state) == (13, 2, TaskState.WORKING)
    assert (after.metadata, after.artifacts) == ({"a": 1}, {"b": 11})
    assert {key: (it.first_seq, it.last_seq) for key, it in change.artifacts.items()} == {
        "a": (8, 10),
        "b": (11, None),
    }


def test_a_chunk_that_changes_nothing_of_a_task_head_leaves_it_as_it_is() -> None:
    begun = check(HEAD, chunk("one", append=False))
    assert begun.artifacts == {"a": 8}
    assert check(begun, chunk("two")) is begun
    assert check(begun, chunk("three", last=True)).artifacts == {}
