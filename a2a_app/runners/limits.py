"""Limits: how long an agent may take, in all and without saying anything."""

import asyncio

from a2a_app.agents import Agent
from a2a_app.store.writer import Writer


class TimeLimitError(Exception):
    """An agent took longer than it may; the text is fit for clients."""


async def wait_within_limits(
    agent_task: "asyncio.Task[None]", agent: Agent, writer: Writer
) -> TimeLimitError | None:
    """Wait until an agent's code has returned; gives the limit it broke, if that comes first."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while not agent_task.done():
        ends = {}
        if agent.time_limit is not None:
            ends[begun + agent.time_limit] = f"took longer than {agent.time_limit:g} seconds"
        if agent.silence_limit is not None:
            said = max(begun, writer.accepted_at)
            ends[said + agent.silence_limit] = f"said nothing for {agent.silence_limit:g} seconds"
        first = min(ends, default=None)
        if first is not None and first <= loop.time():
            return TimeLimitError(f"The agent {ends[first]}.")
        left = None if first is None else first - loop.time()
        await asyncio.wait([agent_task], timeout=left)
    return None
