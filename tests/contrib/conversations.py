"""What tests of several frameworks say, and how they read what comes back."""

import asyncio
from typing import Any
from uuid import uuid4

from a2a_app.agents import Message, Part, Role
from a2a_app.protocol import Task
from tests.clients.operations import SECONDS, OperationsClient

USAGE = "urn:a2a-app:usage:v1"


def answer(task: Task, said: Any, *, task_too: bool = True) -> Message:
    """Return the next message to a task, or to its conversation only: a text, or data."""
    part = Part(text=said) if isinstance(said, str) else Part(data=said)
    return Message(
        message_id=str(uuid4()),
        role=Role.USER,
        parts=[part],
        context_id=task.context_id,
        task_id=task.id if task_too else "",
    )


def texts_of(task: Task) -> dict[str, list[str]]:
    """Return the texts of each artifact by its name."""
    return {
        each.name: [part.text for part in each.parts if part.text is not None]
        for each in task.artifacts
    }


def data_of(task: Task) -> dict[str, list[Any]]:
    """Return the data of each artifact by its name."""
    return {
        each.name: [part.data for part in each.parts if part.has_data] for each in task.artifacts
    }


def tokens_of(task: Task) -> dict[str, tuple[int, int]]:
    """Return how many tokens each model has read and written for a task."""
    models = task.metadata.get(USAGE, {}).get("models", {})
    return {name: (used["inputTokens"], used["outputTokens"]) for name, used in models.items()}


async def cancel_once_begun(client: OperationsClient, begun: asyncio.Event) -> Task:
    """Send a message, wait until the model has begun to answer, and cancel the task."""
    task = await client.send(return_immediately=True)
    async with asyncio.timeout(SECONDS):
        await begun.wait()
    return await client.cancel(task.id)
