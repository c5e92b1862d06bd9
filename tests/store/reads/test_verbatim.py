"""What is read is what was said: in the same text on every database, and in no larger one."""

import json
from typing import Any

import pytest
from django.db.models import JSONField
from django.db.models.functions import Cast
from hypothesis import HealthCheck, given, settings
from pydantic_core import from_json, to_json

from a2a_app import models
from a2a_app.agents import Turn
from a2a_app.protocol import ListTasksRequest, Message, Part, Role, TaskState
from a2a_app.store.events import Appended
from a2a_app.store.reads import pages
from a2a_app.store.reads.tasks import read_snapshot
from a2a_app.store.updates import ArtifactUpdate
from a2a_app.store.writes.append import append
from tests.clients.operations import client_of
from tests.protocol.generated import JSON
from tests.tasks import SCOPE, begin, begin_and_claim, chunk, new_message, status

# What PostgreSQL's `jsonb` does not keep.
VALUES: dict[str, Any] = from_json(
    '{"z":1e+22,"a":-0.0,"m":[1e+308,1.0,1,5e-324,12345678901234567890123],"b":{"b":1,"a":2}}'
)
# As pydantic spells it: releases of it write `1e22` or `1e+22`.
SAID = to_json(VALUES).decode()
MANY = settings(
    max_examples=30,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def say(values: dict[str, Any]) -> Appended:
    """Store a task in which the client and the agent have said the same in every place."""
    parts = [Part(text="x", metadata=values), Part(data=values)]
    said = Message(message_id="1", role=Role.USER, parts=parts, metadata=values)
    head = begin(message=said).head
    update = chunk("x", append=False, last=True)
    artifact = update.artifact.model_copy(update={"parts": parts, "metadata": values})
    return append(
        head,
        [
            ArtifactUpdate(artifact, append=False, last_chunk=True),
            status(TaskState.WORKING, "working", metadata=values),
        ],
    )


def readings(appended: Appended) -> list[str]:
    """Read the task in each way, as the texts that clients get."""
    key = str(appended.head.task_id)
    [listed] = pages.task_page(SCOPE, ListTasksRequest(include_artifacts=True)).tasks
    whole = read_snapshot(SCOPE, key).task
    shortened = read_snapshot(SCOPE, key, history_length=5).task
    return [task.to_json() for task in (listed, whole, shortened)]


@pytest.mark.django_db
def test_all_that_was_said_is_read_in_the_text_of_the_log() -> None:
    appended = say(VALUES)
    logged = "".join(event.body for event in appended.events)
    assert logged.count(f'"metadata":{SAID}') == 3
    assert logged.count(f'"data":{SAID}') == 1
    for text in readings(appended):
        # The task's own; and of the message and the artifact their own, and that of a part.
        assert text.count(f'"metadata":{SAID}') == 5
        assert text.count(f'"data":{SAID}') == 2


@pytest.mark.django_db
def test_what_is_read_is_no_larger_than_what_was_said() -> None:
    values = {"numbers": [1e308] * 1000}
    for text in readings(say(values)):
        assert len(text) < 8 * len(to_json(values))


@MANY
@given(JSON)
@pytest.mark.django_db(transaction=True)
def test_any_value_is_read_as_it_was_said(value: Any) -> None:
    models.Task.objects.all().delete()
    text = to_json({"value": value}).decode()
    for read in readings(say({"value": value})):
        assert read.count(text) == 7


@pytest.mark.django_db
def test_a_claim_has_the_metadata_and_the_message_as_they_were_said() -> None:
    claim = begin_and_claim(message=new_message(metadata=VALUES))
    assert to_json(claim.message.metadata).decode() == SAID


@pytest.mark.usefixtures("runtime")
async def test_the_state_of_a_conversation_is_read_as_it_was_set() -> None:
    read: list[str] = []

    async def agent(turn: Turn) -> None:
        read.append(to_json(turn.context.state).decode())
        turn.context.state.update(json.loads(SAID))

    with client_of(agent) as client:
        first = await client.send()
        await client.send(new_message(context_id=first.context_id))
    assert read == ["{}", SAID]


@pytest.mark.django_db
@pytest.mark.parametrize("value", [float("inf"), 10**4300], ids=["inf", "long"])
def test_a_number_that_could_not_be_read_again_reaches_no_row(value: float) -> None:
    with pytest.raises(ValueError, match=r"finite|number|digits"):
        say({"value": value})
    assert not models.Task.objects.exists()


@pytest.mark.django_db
def test_a_condition_may_look_into_what_was_said_by_a_cast() -> None:
    say({"key": 1})
    tasks = models.Task.objects.annotate(said=Cast("metadata", JSONField()))
    assert tasks.filter(said__key=1).count() == 1
    assert tasks.filter(said__key=2).count() == 0
