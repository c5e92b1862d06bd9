"""Drives an agent: calls `run`, in any of its four forms, and adds what it returns or yields."""

import inspect
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, closing
from typing import Any

from a2a_app.agents.base import Agent
from a2a_app.agents.content import ArtifactWriter
from a2a_app.agents.turn import Turn
from a2a_app.concurrency.threads import run_in_own_thread


async def drive(agent: Agent, turn: Turn) -> None:
    """Call the agent's `run` and wait until it returns; raises what it raises."""
    try:
        await _drive(agent, turn)
    except SystemExit as end:
        # Not caught here, it would end the event loop and all other turns on it.
        raise RuntimeError(f"The agent's code wants to end the process: {end!r}") from end


async def _drive(agent: Agent, turn: Turn) -> None:
    if agent.is_synchronous:
        await run_in_own_thread(lambda: _drive_synchronous(agent, turn))
        return
    result = agent.run(turn)
    if inspect.isasyncgen(result):
        await _stream(result, turn.open_artifact())
    else:
        await _add_artifact(await result, turn)


async def _stream(pieces: AsyncGenerator[Any, Any], artifact: ArtifactWriter) -> None:
    async with aclosing(pieces):
        async for piece in pieces:
            await artifact.write(piece)


async def _add_artifact(result: Any, turn: Turn) -> None:
    if result is not None:
        await turn.artifact(result)


def _drive_synchronous(agent: Agent, turn: Turn) -> None:
    # A verb that is called in this thread has done its work when it returns.
    result = agent.run(turn)
    if inspect.isgenerator(result):
        _stream_synchronous(result, turn.open_artifact())
    elif result is not None:
        turn.artifact(result)


def _stream_synchronous(pieces: Generator[Any, Any, Any], artifact: ArtifactWriter) -> None:
    with closing(pieces):
        for piece in pieces:
            artifact.write(piece)
