"""A first `agents.py`."""

from pathlib import Path

from a2a_app.management.start.change import Change

_FIRST = '''\
import asyncio

from a2a_app.agents import Turn, agent


@agent(name="Countdown")
async def countdown(turn: Turn):
    """Counts down from the number you give."""
    if not turn.text.strip().isdigit():
        await turn.reject("Give me a number, such as 3.")
        return
    await turn.working("Counting…")
    for number in range(int(turn.text), 0, -1):
        yield f"{number}… "
        await asyncio.sleep(0.1)
    yield "done."
'''


def first_agents(folder: Path) -> Change | None:
    """Return the first `agents.py` of an app; None: it has one, as a file or as a package."""
    if (folder / "agents.py").exists() or (folder / "agents").exists():
        return None
    return Change(folder / "agents.py", after=_FIRST)
