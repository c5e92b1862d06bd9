"""Replays: recordings of turns as fixtures, against which tests hold an agent's code."""

from pathlib import Path
from typing import Any

from a2a_app.runners.comparison import Replayed
from a2a_app.runners.replay import replay as run_replay
from a2a_app.store.durable.recordings import Recording
from a2a_app.testing.agents import Subject, served
from a2a_app.testing.event_loop import LoopThread


async def areplay(agent: Subject, recording: str | Path, *, user: Any = None) -> Replayed:
    """Run an agent's code against a turn that `manage.py a2a_replay --export` has written.

    Steps, sleeps, events, replies of other agents and decisions are those of the recording, and
    verbs are compared. It needs no database.

    Args:
        agent: The agent: its slug, itself, or what it was made of.
        recording: The path of the file.
        user: The Django user whose task it is; None: it has none.

    Returns:
        What was met.

    Raises:
        AssertionError: The code differs from what was recorded. The text shows where.
    """
    recorded = Recording.from_text(_text_of(recording))
    with served(agent) as found:
        replayed = await run_replay(found, recorded, user=user)
    if not replayed.is_same:
        raise AssertionError(f"{found.slug} differs from {recording}:\n{replayed}")
    return replayed


def replay(agent: Subject, recording: str | Path, *, user: Any = None) -> Replayed:
    """Do as `areplay` does, in a test without `async`."""
    loop = LoopThread()
    try:
        return loop.run(areplay(agent, recording, user=user))
    finally:
        loop.end()


def _text_of(path: str | Path) -> str:
    return Path(path).read_text()
