"""The operations without HTTP, for tests of what agents, runners and operations do."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from a2a_app import runners
from a2a_app.agents import Agent
from a2a_app.operations.call import Call, Caller
from a2a_app.operations.messages import send_message, send_streaming_message
from a2a_app.operations.streams import Stream
from a2a_app.operations.tasks import cancel_task, get_task, subscribe_to_task
from a2a_app.protocol import (
    CancelTaskRequest,
    GetTaskRequest,
    Message,
    SendMessageConfiguration,
    SendMessageRequest,
    SendMessageResponse,
    SubscribeToTaskRequest,
    Task,
)
from a2a_app.testing import agent_for_test
from tests.tasks import new_message

SECONDS = 20


class OperationsClient:
    """Calls the operations of one agent, as one caller."""

    def __init__(self, agent: Agent, owner: str = "") -> None:
        self.call = Call(agent, Caller(owner))

    async def respond(self, message: str | Message = "hello", **more: Any) -> SendMessageResponse:
        """Send a message and return what SendMessage returns."""
        async with asyncio.timeout(SECONDS):
            return await send_message(self.call, _params(message, **more))

    async def send(self, message: str | Message = "hello", **more: Any) -> Task:
        """Send a message and return the task."""
        response = await self.respond(message, **more)
        assert response.task is not None
        return response.task

    async def stream(self, message: str | Message = "hello", **more: Any) -> list[dict[str, Any]]:
        """Send a message and return all of its stream."""
        return [
            e async for e in _items(send_streaming_message(self.call, _params(message, **more)))
        ]

    def subscribe(self, task_id: str) -> AsyncIterator[dict[str, Any]]:
        """Follow a task."""
        return _items(subscribe_to_task(self.call, SubscribeToTaskRequest(id=task_id)))

    async def see_taken_over(self, task_id: UUID) -> list[dict[str, Any]]:
        """Follow a task whose run is lost from before the sweep finds it; return what comes."""
        stream = self.subscribe(str(task_id))
        await anext(stream)
        await runners.current().begin()
        return [event async for event in stream]

    async def get(self, task_id: str) -> Task:
        """Get a task."""
        return await get_task(self.call, GetTaskRequest(id=task_id))

    async def cancel(self, task_id: str) -> Task:
        """Cancel a task."""
        return await cancel_task(self.call, CancelTaskRequest(id=task_id))


def _params(
    message: str | Message, *, metadata: dict[str, Any] | None = None, **configuration: Any
) -> SendMessageRequest:
    return SendMessageRequest(
        message=new_message(message) if isinstance(message, str) else message,
        configuration=SendMessageConfiguration(**configuration),
        metadata=metadata or {},
    )


async def _items(opening: Awaitable[Stream]) -> AsyncIterator[dict[str, Any]]:
    async with asyncio.timeout(SECONDS):
        async for batch in await opening:
            for item in batch:
                yield json.loads(item.body)


@contextmanager
def client_of(subject: Callable[..., Any] | Agent, **declared: Any) -> Iterator[OperationsClient]:
    """Register an agent for the time of the context, and yield its client."""
    with agent_for_test(subject, **declared) as agent:
        yield OperationsClient(agent)
