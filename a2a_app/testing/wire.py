"""The JSON-RPC of both versions, as a client writes and reads it."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from a2a_app.bindings.v03.params import send as message_of_03
from a2a_app.bindings.v03.results import Schema
from a2a_app.protocol import SendMessageRequest, StreamResponse, Task

Json = dict[str, Any]


class Wire:
    """The methods and the JSON of 1.0."""

    version = "1.0"
    names: dict[str, str] = {}  # noqa: RUF012  # read only
    """The name of a method in this version, where it is not that of 1.0."""

    def params(self, request: SendMessageRequest) -> Json:
        """Write the parameters that send a message."""
        return request.to_dict()

    def event(self, result: Json) -> StreamResponse:
        """Read the result of sending, or an event of a stream."""
        return StreamResponse.from_dict(result)

    def task(self, result: Json) -> Task:
        """Read a task."""
        return Task.from_dict(result)


class Wire03(Wire):
    """The methods and the JSON of 0.3."""

    version = "0.3"
    names = {  # noqa: RUF012  # read only
        "SendMessage": "message/send",
        "SendStreamingMessage": "message/stream",
        "GetTask": "tasks/get",
        "CancelTask": "tasks/cancel",
        "SubscribeToTask": "tasks/resubscribe",
        "GetExtendedAgentCard": "agent/getAuthenticatedExtendedCard",
    }
    _members = {  # noqa: RUF012  # read only
        "task": "task", "message": "message",
        "status-update": "statusUpdate", "artifact-update": "artifactUpdate",
    }  # fmt: skip  # pairs

    def params(self, request: SendMessageRequest) -> Json:
        """Write the parameters, in which each part says what it is."""
        given = request.to_dict()
        configuration = given.get("configuration", {})
        configuration["blocking"] = not configuration.pop("returnImmediately", False)
        message = Schema().message(given["message"])
        return {**given, "message": message, "configuration": configuration}

    def event(self, result: Json) -> StreamResponse:
        """Read an object by its kind."""
        member = self._members[result["kind"]]
        return StreamResponse.from_dict({member: self._object(member, result)})

    def task(self, result: Json) -> Task:
        """Read a task."""
        return Task.from_dict(self._object("task", result))

    def _object(self, member: str, value: Json) -> Json:
        match member:
            case "message":
                return _message(value)
            case "statusUpdate":
                return {**value, "status": _status(value["status"])}
            case "artifactUpdate":
                return {**value, "artifact": _artifact(value["artifact"])}
        artifacts = [_artifact(each) for each in value.get("artifacts", ())]
        history = [_message(each) for each in value.get("history", ())]
        status = _status(value["status"])
        return {**value, "status": status, "artifacts": artifacts, "history": history}


WIRES = {wire.version: wire for wire in (Wire(), Wire03())}


def _message(value: Json) -> Json:
    message: Json = message_of_03({"message": value})["message"]
    return message


def _artifact(value: Json) -> Json:
    parts = _message({"role": "agent", "messageId": "-", "parts": value["parts"]})["parts"]
    return {**value, "parts": parts}


def _status(value: Json) -> Json:
    state = value["state"].upper().replace("-", "_")
    written = {**value, "state": f"TASK_STATE_{'UNSPECIFIED' if state == 'UNKNOWN' else state}"}
    if value.get("message"):
        written["message"] = _message(value["message"])
    return written


async def read_events(
    chunks: AsyncGenerator[bytes, None],
) -> AsyncGenerator[tuple[int | None, Json], None]:
    """Read Server-Sent Events: the number of each, if it has one, and its JSON."""
    number: int | None = None
    data = ""
    async with aclosing(_lines(chunks)) as lines:
        async for line in lines:
            name, _, value = line.partition(": ")
            if name == "id":
                number = int(value)
            elif name == "data":
                data = value
            elif not line and data:
                yield number, json.loads(data)
                number, data = None, ""


async def _lines(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[str, None]:
    left = b""
    async with aclosing(chunks):
        async for chunk in chunks:
            *lines, left = (left + chunk).split(b"\n")
            for line in lines:
                yield line.decode()
