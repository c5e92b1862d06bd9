"""Events: the project's code tells a task what happened elsewhere.

A turn that waits for it, by `await turn.wait_for("payment")`, goes on.
"""

from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from pydantic_core import to_jsonable_python

from a2a_app import broadcast, database
from a2a_app.agents.content import clean, report_replaced
from a2a_app.store.durable.external_events import Sent, send_event
from a2a_app.store.notify import bell, ring

MAX_NAME = 200


def send(task_id: UUID | str, name: str, data: Any = None, *, key: str = "") -> bool:
    """Tell a task that something has happened, as a part of the caller's transaction.

    An event for which no turn waits yet is kept for the first one that does. Each event is given
    to one `wait_for`. Until the transaction is over, the task's row is locked: its agent's verbs
    wait. So send an event at the end of a long one. In asynchronous code: `asend`.

    Args:
        task_id: The id of the task, as `turn.task_id` has it.
        name: The event's name.
        data: What `wait_for` returns: anything that pydantic makes JSON of.
        key: An event of the task that is sent again under the same key is not kept again. Empty:
            each one counts.

    Returns:
        Whether it is kept. False: there is no such task, or it has ended.

    Raises:
        ValueError: The name or the key is too long, or the data cannot be made JSON.
    """
    sent = _store(task_id, name, data, key)
    if sent.woken is not None:
        # Robust: the event is committed, whatever happens to the message.
        announce = partial(broadcast.announce, *bell(sent.woken))
        transaction.on_commit(announce, using=database.alias(), robust=True)
    return sent.is_kept


async def asend(task_id: UUID | str, name: str, data: Any = None, *, key: str = "") -> bool:
    """Tell a task that something has happened, as `send` does, in a transaction of its own."""
    sent = await database.run(_store, task_id, name, data, key)
    if sent.woken is not None:
        await ring(sent.woken)
    return sent.is_kept


def _store(task_id: UUID | str, name: str, data: Any, key: str) -> Sent:
    if not 0 < len(name) <= MAX_NAME or len(key) > MAX_NAME:
        raise ValueError(f"name and key of an event must not be longer than {MAX_NAME} characters.")
    try:
        found = UUID(str(task_id))
    except ValueError:
        return Sent(False, None)
    report = partial(report_replaced, f"event {name!r} of task {found}")
    said = [clean(each, report) for each in (name, to_jsonable_python(data), key)]
    return send_event(found, *said)
