"""Chunks: an artifact, assembled as JSON values from the chunks that the log has of it.

An artifact may have thousands of chunks, all of which are read when it is closed. They were checked
when they were written, so no objects are made of them again.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pydantic_core import from_json

from a2a_app import models, protocol
from a2a_app.database import selects


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

    Parts are joined in order, and later metadata replaces earlier metadata of the same name.
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
        "parts": [part for chunk in chunks for part in chunk["parts"]],
        "metadata": metadata,
        "extensions": list(extensions),
    }


def to_artifact(artifact_id: str, columns: dict[str, Any]) -> protocol.Artifact:
    """Return the protocol's artifact of its columns."""
    parts = [protocol.Part.unchecked_from_dict(part) for part in columns["parts"]]
    return protocol.Artifact.unchecked(artifact_id=artifact_id, **{**columns, "parts": parts})
