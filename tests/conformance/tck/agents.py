"""The agent that the official suite talks to: it does what the suite's scenarios say.

The beginning of a message's id names its scenario. They are in the folder `scenarios` of the suite.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from a2a_app.agents import Agent, Part, Turn, agent
from a2a_app.protocol import Message

# A scenario waits for twice the suite's timeout for streams.
LONG_SECONDS = 4.0
TEXT_FILE = Part(raw="dGV4dA==", filename="output.txt", media_type="text/plain")
Scenario = Callable[[Turn], Awaitable[None]]


def artifact(*contents: Any) -> Scenario:
    """Return a scenario that ends the task with an artifact."""

    async def play(turn: Turn) -> None:
        await turn.artifact(*contents)
        await turn.complete()

    return play


def stream(*contents: Any) -> Scenario:
    """Return a scenario that says that it works, and ends the task with an artifact, if any."""

    async def play(turn: Turn) -> None:
        await turn.working()
        if contents:
            await turn.artifact(*contents)
        await turn.complete()

    return play


async def stream_chunks(turn: Turn) -> None:
    """Write an artifact in two chunks."""
    await turn.working()
    writer = turn.open_artifact()
    await writer.write("chunk-1 ")
    await writer.write("chunk-2", last=True)
    await turn.complete()


async def take_long(turn: Turn) -> None:
    """Work for longer than the suite reads a stream."""
    await turn.working()
    await asyncio.sleep(LONG_SECONDS)
    await turn.complete()


SCENARIOS: dict[str, Scenario] = {
    "tck-complete-task": lambda turn: turn.complete("Hello from TCK"),
    "tck-artifact-text": artifact("Generated text content"),
    "tck-artifact-file-url": artifact(
        Part(url="https://example.com/output.txt", filename="output.txt", media_type="text/plain")
    ),
    "tck-artifact-file": artifact(TEXT_FILE),
    "tck-artifact-data": artifact({"key": "value", "count": 42}),
    "tck-input-required": lambda turn: turn.input_required(),
    "tck-reject-task": lambda turn: turn.reject("rejected"),
    "tck-stream-001": stream("Stream hello from TCK"),
    "tck-stream-002": lambda turn: turn.complete(),
    "tck-stream-003": stream("Stream task lifecycle"),
    "tck-stream-ordering-001": stream("Ordered output"),
    "tck-stream-artifact-text": stream("Streamed text content"),
    "tck-stream-artifact-file": stream(TEXT_FILE),
    "tck-stream-artifact-chunked": stream_chunks,
    "test-resubscribe-message-id": take_long,
}


@agent(name="TCK", slug="tck")
class Tck(Agent):
    """Does what the scenarios of the conformance suite say."""

    async def answer(self, message: Message) -> str | None:
        """Answer the one scenario that is without a task."""
        is_direct = message.message_id.startswith("tck-message-response")
        return "Direct message response" if is_direct else None

    async def run(self, turn: Turn) -> None:
        """Play the scenario that the message names; unless it names one, complete the task."""
        named = [name for name in SCENARIOS if turn.message.message_id.startswith(name)]
        # The longest, since some names are the beginnings of others.
        play = SCENARIOS[max(named, key=len)] if named else SCENARIOS["tck-complete-task"]
        await play(turn)
