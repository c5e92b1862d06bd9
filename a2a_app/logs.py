"""Logs: which task, conversation, agent and owner a line of the log is about.

It knows nothing of the app's models, since Django reads LOGGING before it loads them.
"""

import logging
from contextvars import ContextVar
from typing import NamedTuple

# The longest id that a line has. Clients name ids of any length.
MAX_CHARACTERS = 255


class Subject(NamedTuple):
    """What the code that runs now works on; empty where it works on nothing of the kind."""

    task: str = ""
    """The id of the task."""
    context: str = ""
    """The id of the conversation."""
    agent: str = ""
    """The slug of the agent."""
    owner: str = ""
    """The owner of the task, or the caller of a request."""
    tenant: str = ""
    """The key of the tenant."""
    operation: str = ""
    """The operation that a client has asked for."""


NOTHING = Subject()
subject: ContextVar[Subject] = ContextVar("a2a_subject", default=NOTHING)
"""What the code that runs now works on. Turns, requests, deliveries and signals set it."""


class TaskFilter(logging.Filter):
    """Adds to each record what it is about, and lets all records pass.

    A record has the attributes `a2a_task`, `a2a_context`, `a2a_agent`, `a2a_owner`, `a2a_tenant`
    and `a2a_operation`. They are empty in what has nothing to do with a task or a request to an
    agent. Add the filter to handlers, so that it sees the records of all loggers.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the attributes to a record, and return True."""
        for name, value in subject.get()._asdict().items():
            setattr(record, f"a2a_{name}", _one_line(value))
        return True


def _one_line(text: str) -> str:
    """Return a name that a client may have chosen, without what could begin another line."""
    text = text[:MAX_CHARACTERS]
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
