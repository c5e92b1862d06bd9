"""A first `agents.py`, which is that of the template for new projects."""

from pathlib import Path

from a2a_app import TEMPLATE
from a2a_app.management.start.change import Change


def first_agents(folder: Path) -> Change | None:
    """Return the first `agents.py` of an app; None: it has one, as a file or as a package."""
    if (folder / "agents.py").exists() or (folder / "agents").exists():
        return None
    first = TEMPLATE / "project_name" / "agents.py-tpl"
    return Change(folder / "agents.py", after=first.read_text(encoding="utf-8"))
