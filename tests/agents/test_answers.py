"""Answers and events: the words for what comes of a message."""

from typing import Any

import pytest

from a2a_app.agents.answers import Answer, Event, text_of
from a2a_app.client.messages import id_of, request_to_send
from a2a_app.client.refusals import refusal_of
from a2a_app.protocol import (
    A2AError,
    InternalError,
    InvalidParamsError,
    Message,
    NoRoomError,
    Part,
    ResourceExhaustedError,
    Role,
    StreamResponse,
    Task,
    TaskNotFoundError,
    TaskState,
    UnavailableError,
)

IDS = {"taskId": "t", "contextId": "c"}


def event(number: int = 1, **member: Any) -> Event:
    return Event(StreamResponse.from_dict(member), number)


def chunk(text: str, *, key: str = "a", append: bool = True) -> Event:
    artifact = {"artifactId": key, "parts": [{"text": text}]}
    return event(artifactUpdate={**IDS, "artifact": artifact, "append": append})


def task(state: TaskState, **more: Any) -> Task:
    return Task.from_dict({"id": "t", "contextId": "c", "status": {"state": state.value}, **more})


def test_each_kind_of_event_has_its_task_and_its_conversation() -> None:
    said = {"messageId": "m", "contextId": "c", "role": "ROLE_AGENT", "parts": [{"text": "hello"}]}
    status = {"state": "TASK_STATE_INPUT_REQUIRED", "message": said}
    asked = event(statusUpdate={**IDS, "status": status})
    answered = event(message=said)
    assert (asked.task_id, asked.context_id, asked.text) == ("t", "c", "hello")
    assert (answered.task_id, answered.context_id, answered.text) == ("", "c", "hello")
    assert (asked.state, answered.state) == (TaskState.INPUT_REQUIRED, None)
    assert asked.is_over and answered.is_over and not chunk("x").is_over
    assert chunk("x").task_id == "t" and chunk("x").artifacts[0].artifact_id == "a"


def test_a_task_says_what_its_artifacts_say_and_else_what_its_status_does() -> None:
    artifact = {"artifactId": "a", "parts": [{"text": "one "}, {"data": {"two": 2}}, {"text": "3"}]}
    found = Answer.of(task(TaskState.COMPLETED, artifacts=[artifact]))
    assert (found.text, found.data) == ("one 3", [{"two": 2}])
    assert Answer.of(task(TaskState.WORKING)).text == ""
    assert id_of(found) == id_of("t") == "t"


def test_a_last_chunk_that_repeats_its_artifact_is_not_read_twice() -> None:
    events = [chunk("a", append=False), chunk("b"), chunk("x", key="b"), chunk("ab", append=False)]
    assert text_of(events) == "abx"


def test_what_is_sent_may_be_text_data_parts_or_a_whole_message() -> None:
    parts = request_to_send(["hello", {"a": 1}, Part(raw=b"x")], context_id="c").message.parts
    assert [part.to_dict() for part in parts] == [
        {"text": "hello"},
        {"data": {"a": 1}},
        {"raw": "eA=="},
    ]
    whole = Message(message_id="m", role=Role.USER, parts=[Part(text="x")])
    assert request_to_send(whole, metadata={"b": 2}).message is whole
    continued = request_to_send("more", task=Answer.of(task(TaskState.INPUT_REQUIRED)))
    assert continued.message.task_id == "t"


def _error(error: A2AError) -> dict[str, Any]:
    return {"code": error.code, "message": error.message, "data": error.details()}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": -32001, "message": "gone"}, TaskNotFoundError),
        ({"code": 503, "details": [{"reason": "UNAVAILABLE"}]}, UnavailableError),
        (_error(ResourceExhaustedError("Too many.", limit="X")), ResourceExhaustedError),
        (_error(NoRoomError("Too many.", limit="X")), NoRoomError),
        ({"code": 429, "details": [{"reason": "RESOURCE_EXHAUSTED"}]}, NoRoomError),
        ({"code": -32602, "data": [{"fieldViolations": [{"field": "id"}]}]}, InvalidParamsError),
        ({"code": 12345, "message": "what?"}, InternalError),
        ({"code": -32603, "data": "no details"}, InternalError),
    ],
)
def test_an_error_of_either_binding_is_an_exception(error: dict[str, Any], kind: type) -> None:
    refusal = refusal_of(error)
    assert type(refusal) is kind
    assert refusal.message == error.get("message", refusal.message)
    if "data" in error and isinstance(refusal, ResourceExhaustedError):
        assert refusal.details() == error["data"]
