"""Messages from JSON: the same as ParseDict makes, which takes ten times as long."""

import sys
from types import FrameType
from typing import Any

import pytest
from a2a.compat.v0_3 import a2a_v0_3_pb2
from a2a.types import a2a_pb2 as pb
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from a2a_app.bindings.grpc.drafted import drafted_file
from a2a_app.bindings.grpc.fields import message_of

ANY_JSON = {"text": "ä", "none": None, "list": [1, 2.5, True, {"deep": []}], "large": 2**60}
PARTS = [
    {"text": "Lisbon", "mediaType": "text/plain", "metadata": ANY_JSON},
    {"raw": "+/8=", "filename": "a.bin"},
    {"raw": "-_8"},
    {"url": "https://example.com/a"},
    *({"data": value} for value in (ANY_JSON, [1], "text", 1.5, True, None)),
]
OLD_PARTS = [
    {"text": "Lisbon"},
    {"file": {"fileWithBytes": "+/8=", "mimeType": "image/png"}},
    {"data": {"data": ANY_JSON}},
]
MESSAGE = {"messageId": "m", "role": "ROLE_USER", "parts": PARTS, "extensions": ["urn:a", "urn:b"]}
ARTIFACT = {"artifactId": "a", "name": "load", "parts": [{"text": "1 "}]}
STATUS = {"state": "TASK_STATE_WORKING", "timestamp": "2026-11-29T17:45:38.123Z"}
TASK = {
    "id": "t", "contextId": "c", "status": {**STATUS, "message": MESSAGE},
    "history": [MESSAGE, MESSAGE], "artifacts": [ARTIFACT, {**ARTIFACT, "parts": PARTS}],
    "metadata": ANY_JSON,
}  # fmt: skip  # the ids on a line
CHUNK = {"taskId": "t", "contextId": "c", "artifact": ARTIFACT, "append": True, "lastChunk": False}
UPDATE = {"taskId": "t", "contextId": "c", "status": STATUS}
DRAFTED: Any = drafted_file().message_types_by_name


def status_at(timestamp: str) -> dict[str, Any]:
    return {"state": "TASK_STATE_COMPLETED", "timestamp": timestamp}


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (pb.StreamResponse, {"task": TASK}),
        (pb.StreamResponse, {"message": MESSAGE}),
        (pb.StreamResponse, {"statusUpdate": UPDATE}),
        (pb.StreamResponse, {"artifactUpdate": CHUNK}),
        (pb.StreamResponse, {"artifactUpdate": {**CHUNK, "newer": 1, "metadata": None}, "new": 2}),
        (pb.StreamResponse, {}),
        (pb.ListTasksResponse, {"tasks": [TASK], "pageSize": 50, "totalSize": 1}),
        (pb.ListTasksResponse, {"tasks": [], "nextPageToken": "", "totalSize": "7"}),
        (pb.Task, {"context_id": "c", "status": {"state": 3}}),
        (pb.Task, {"status": {"state": "TASK_STATE_OF_THE_FUTURE"}}),
        (pb.AgentCard, {"name": "n", "securitySchemes": {"a": {"mtlsSecurityScheme": {}}}}),
        *(
            (pb.TaskStatus, status_at(timestamp))
            for timestamp in (
                "2026-11-29T17:45:38Z", "2026-11-29T17:45:38.123456Z", "1969-12-31T23:59:59.999Z",
                "2026-11-29T17:45:38.123456789Z", "2026-11-29T17:45:38.5+02:00",
            )
        ),
        (a2a_v0_3_pb2.StreamResponse, {"msg": {"messageId": "m", "content": OLD_PARTS}}),
        (GetMessageClass(DRAFTED["Task"]), {**TASK, "generation": "12"}),
        (GetMessageClass(DRAFTED["StreamResponse"]), {"statusUpdate": {**UPDATE, "generation": 3}}),
    ],
)  # fmt: skip  # timestamps on a line
def test_a_message_is_the_one_that_parse_dict_makes(
    kind: type[Message], given: dict[str, Any]
) -> None:
    expected = json_format.ParseDict(given, kind(), ignore_unknown_fields=True)
    assert message_of(kind, given) == expected


@pytest.mark.parametrize("given", [{"id": 1}, {"artifacts": {"a": 1}}, {"status": 1}])
def test_what_is_no_message_is_refused_as_parse_dict_does(given: dict[str, Any]) -> None:
    with pytest.raises(json_format.ParseError):
        message_of(pb.Task, given)


@pytest.mark.parametrize("event", [{"statusUpdate": UPDATE}, {"artifactUpdate": CHUNK}])
def test_the_events_of_a_stream_are_made_without_parse_dict(event: dict[str, Any]) -> None:
    called = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.append(frame.f_code.co_filename)

    sys.setprofile(note)
    try:
        message_of(pb.StreamResponse, event)
    finally:
        sys.setprofile(None)
    assert called
    assert json_format.__file__ not in called
