"""The outcome of a message: what its stream tells, as the result of a tool."""

import json
from base64 import b64encode
from typing import Any
from urllib.parse import quote

from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
)

from a2a_app.protocol import (
    A2AError,
    InvalidParamsError,
    Message,
    Part,
    StreamResponse,
    TaskState,
    TaskStatus,
)
from a2a_app.protocol.messages import join_chunks

OUTPUT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "task_id": {"type": "string", "description": "The task, if there is one."},
        "context_id": {"type": "string", "description": "The conversation."},
        "state": {"type": "string", "description": "The state of the task, as A2A names it."},
        "data": {"type": "array", "description": "What the agent has answered as data."},
    },
    "required": ["data"],
}
_UNKNOWN = "application/octet-stream"


class Outcome:
    """What has come of a message so far."""

    def __init__(self) -> None:
        self.task_id = ""
        """The task's id; empty: none is known."""
        self._context_id = ""
        self._status: TaskStatus | None = None
        self._message: Message | None = None
        self._artifacts: dict[str, list[list[Part]]] = {}

    def add(self, item: StreamResponse) -> str | None:
        """Take the next item of the stream.

        Returns:
            What the agent says of its progress, which may be empty; None: the item tells of none.
        """
        if (task := item.task) is not None:
            self.task_id, self._context_id, self._status = task.id, task.context_id, task.status
            self._artifacts = {each.artifact_id: [each.parts] for each in task.artifacts}
            return _said(task.status)
        elif (message := item.message) is not None:
            self._message, self._context_id = message, message.context_id
        elif (update := item.status_update) is not None:
            self._status = update.status
            return _said(update.status)
        elif (chunk := item.artifact_update) is not None:
            if not chunk.append:
                self._artifacts.pop(chunk.artifact.artifact_id, None)
            chunks = self._artifacts.setdefault(chunk.artifact.artifact_id, [])
            chunks.append(chunk.artifact.parts)
        return None

    def result(self) -> CallToolResult:
        """Return the result of the tool, once the stream has ended."""
        parts = self._parts()
        content = [_content(part) for part in parts]
        state = self._status.state if self._status else None
        if state is not None and state.is_interrupted:
            content.append(_text(_TO_GO_ON.format(self.task_id)))
        failed = state is not None and state.is_terminal and state is not TaskState.COMPLETED
        if failed and not content:
            content.append(_text(f"The agent has not done it: the state of its task is {state}."))
        ids = {"task_id": self.task_id, "context_id": self._context_id, "state": state}
        told = {name: str(value) for name, value in ids.items() if value}
        data = [part.data for part in parts if part.has_data]
        return CallToolResult(
            content=content, structured_content={**told, "data": data}, is_error=failed
        )

    def _parts(self) -> list[Part]:
        """Return the parts of the artifacts, and then those of what the agent has said last."""
        parts = [
            part
            for chunks in self._artifacts.values()
            for part in join_chunks(chunks, lambda part: part.plain_text, _text_part)
        ]
        said = self._message or (self._status.message if self._status else None)
        return parts + (said.parts if said else [])


_TO_GO_ON = 'The agent waits for an answer. To give it, call this tool with task_id "{}".'


def refusal(error: A2AError) -> CallToolResult:
    """Return the result of a call that is refused, with the reason."""
    reasons = [error.message]
    if isinstance(error, InvalidParamsError):
        reasons += [f"{wrong.field}: {wrong.description}" for wrong in error.violations]
    return CallToolResult(content=[_text("\n".join(reasons))], is_error=True)


def _text(text: str) -> TextContent:
    return TextContent(text=text)


def _said(status: TaskStatus) -> str:
    return status.message.text if status.message else ""


def _text_part(text: str) -> Part:
    return Part(text=text)


def _content(part: Part) -> ContentBlock:
    """Return a part as the content of a tool's result."""
    if part.text is not None:
        return _text(part.text)
    if part.has_data:
        return _text(json.dumps(part.data, ensure_ascii=False))
    media_type = part.content_type or _UNKNOWN
    if part.url is not None:
        return ResourceLink(uri=part.url, name=part.filename or part.url, mime_type=media_type)
    blob = b64encode(part.raw or b"").decode()
    match media_type.partition("/")[0]:
        case "image":
            return ImageContent(data=blob, mime_type=media_type)
        case "audio":
            return AudioContent(data=blob, mime_type=media_type)
    uri = f"attachment:{quote(part.filename or 'file')}"
    return EmbeddedResource(resource=BlobResourceContents(uri=uri, mime_type=media_type, blob=blob))
