"""Tracing: the spans of requests to agents, where there is somebody to tell.

A span covers all tries of its request. In a stream it is the current one only while the stream is
waited for, and not in the code that reads the stream.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from a2a_app import telemetry
from a2a_app.agents.answers import Event
from a2a_app.client import resumption
from a2a_app.client.connection import Connection, Request


async def ask(connection: Connection, request: Request, agent: str) -> dict[str, Any]:
    """Ask an agent as `resumption.ask` does, and tell of it."""
    if telemetry.active is None:
        return await resumption.ask(connection, request, agent)
    with telemetry.active.call(request.operation, connection.about) as span, span.current():
        return await resumption.ask(connection, request, agent)


async def follow(
    connection: Connection, request: Request, agent: str
) -> AsyncGenerator[Event, None]:
    """Yield the events of a stream as `resumption.follow` does, and tell of it."""
    async with aclosing(resumption.follow(connection, request, agent)) as events:
        if telemetry.active is None:
            async for event in events:
                yield event
            return
        with telemetry.active.call(request.operation, connection.about) as span:
            while True:
                with span.current():
                    found = await anext(events, None)
                if found is None:
                    return
                yield found
