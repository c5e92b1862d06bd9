"""Chunks: an artifact put together from what the log has of it, as JSON values.

An artifact may have thousands of chunks, all read at once when it is closed. They were checked when
they were written, so they are not made into objects again.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pydantic_core import from_json

from a2a_app import models
from a2a_app.database import selects


def logged_chunks(task_id: UUID, artifact_id: str, first: int, last: int) -> list[dict[str, Any]]:
    """Read an artifact's chunks from the log, those between two numbers, both included."""
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
    """Give the chunk in an event's JSON."""
    chunk: dict[str, Any] = from_json(body)["artifactUpdate"]["artifact"]
    return chunk


def assemble(chunks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Make one artifact of its chunks: parts in order, later metadata over earlier.

    Returns:
        The columns of an Artifact that its chunks make up.
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
