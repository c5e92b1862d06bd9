"""Replay: an artifact, or a whole new task, made from events of the log.

Most tasks have one message, and its sender follows them until they end. It has heard all events
then, so that nothing need be read. An artifact may have thousands of chunks, all of which are read
when it is closed. They were checked when they were written, so no objects are made of them again.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic_core import from_json

from a2a_app import models, protocol
from a2a_app.database import selects
from a2a_app.protocol.messages import join_chunks, plain_text_of
from a2a_app.protocol.tasks import StoredTask
from a2a_app.store.events import Appended, Event

# A task with more than this is not held in memory as it grows, but read once at its end.
MAX_CHARACTERS = 256 * 1024


class Replay:
    """A task from its first message on, in the form in which reads return it."""

    def __init__(self, appended: Appended) -> None:
        """Begin with the append that stored the task."""
        assert appended.said is not None  # a task begins with a message
        head = appended.head
        self._ids = {"context_id": head.context_id, "task_id": str(head.task_id)}
        self._messages = [appended.said.model_copy(update=self._ids)]
        self._metadata: dict[str, Any] = {}
        self._artifacts: dict[str, list[dict[str, Any]]] = {}
        self._characters = self._generation = 0
        self._has_all = True
        for event in appended.events:
            self._add(event)

    def add(self, events: Sequence[Event]) -> None:
        """Take the next events."""
        for event in events:
            self._characters += len(event.body)
            # The log says that a message of a later turn came, and not what is in it.
            self._has_all &= self._characters <= MAX_CHARACTERS and event.turn == 1
            if not self._has_all:
                self._artifacts.clear()
                return
            self._add(event)

    def end(self, answered: int, *, history_length: int | None) -> protocol.Task | None:
        """Return the task as it ended; None where it has to be read.

        Args:
            answered: The newest turn that is known to be over. The end of a task is the end of all
                of its turns, and each turn is one message. So 1 says that there are no others.
            history_length: How many of the newest messages to return; None: all.
        """
        if self._has_all and self._status.state.is_terminal and answered == 1:
            return self.task(history_length=history_length)
        return None

    def task(self, *, history_length: int | None) -> protocol.Task:
        """Return the task as it is by now, with the newest `history_length` messages; None: all."""
        history = [each for each in self._messages if each is not self._status.message]
        if history_length is not None:
            history = history[len(history) - min(history_length, len(history)) :]
        return StoredTask.unchecked(
            id=self._ids["task_id"],
            context_id=self._ids["context_id"],
            status=self._status,
            artifacts=[
                to_artifact(key, assemble(chunks)) for key, chunks in self._artifacts.items()
            ],
            history=history,
            metadata=self._metadata,
            generation=self._generation,
        )

    def _add(self, event: Event) -> None:
        self._generation = event.seq
        body = from_json(event.body)
        if "statusUpdate" in body:
            update = body["statusUpdate"]
            said = update["status"].get("message")
            message = protocol.Message.from_dict({**said, **self._ids}) if said else None
            self._status = protocol.TaskStatus.unchecked(
                state=event.state,
                message=message,
                timestamp=datetime.fromisoformat(update["status"]["timestamp"]),
            )
            self._metadata |= update.get("metadata", {})
            if message is not None:
                self._messages.append(message)
        else:
            update = body["artifactUpdate"]
            chunk = update["artifact"]
            if not update.get("append"):
                # An artifact that begins again comes after those that have begun meanwhile.
                self._artifacts.pop(chunk["artifactId"], None)
            self._artifacts.setdefault(chunk["artifactId"], []).append(chunk)


def logged_chunks(task_id: UUID, artifact_id: str, first: int, last: int) -> list[dict[str, Any]]:
    """Return an artifact's chunks in the log from the number `first` to `last`, both included."""
    bodies = selects.select_values(
        models.Event,
        ("body",),
        order_by=("seq",),
        task=task_id,
        seq__gte=first,
        seq__lte=last,
        artifact_id=artifact_id,
    )
    return [chunk_of(body) for (body,) in bodies]


def chunk_of(body: str) -> dict[str, Any]:
    """Return the chunk in an event's JSON."""
    chunk: dict[str, Any] = from_json(body)["artifactUpdate"]["artifact"]
    return chunk


def assemble(chunks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the columns of the Artifact that its chunks make up.

    Its parts are in the chunks' order, and text that goes on from chunk to chunk is one part: see
    `join_chunks`. Later metadata replaces earlier metadata of the same name.
    """
    first = chunks[0]
    metadata: dict[str, Any] = {}
    extensions: dict[str, None] = {}
    for chunk in chunks:
        metadata |= chunk.get("metadata", {})
        extensions |= dict.fromkeys(chunk.get("extensions", ()))
    return {
        "name": first.get("name", ""),
        "description": first.get("description", ""),
        "parts": join_chunks((chunk["parts"] for chunk in chunks), plain_text_of, _text_part),
        "metadata": metadata,
        "extensions": list(extensions),
    }


def _text_part(text: str) -> dict[str, Any]:
    return {"text": text}


def to_artifact(artifact_id: str, columns: dict[str, Any]) -> protocol.Artifact:
    """Return the protocol's artifact of its columns."""
    parts = [protocol.Part.unchecked_from_dict(part) for part in columns["parts"]]
    return protocol.Artifact.unchecked(artifact_id=artifact_id, **{**columns, "parts": parts})
