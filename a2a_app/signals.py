"""Signals: what a project's own code hears of tasks and webhooks, after the commit.

A signal is sent in the process that made the change, once. One that is not sent because the process
ends just after the commit is lost. What must not be is in the log, and goes to webhooks.
"""

import asyncio
import logging
from collections.abc import Iterable
from contextvars import Context
from typing import Any

from django.dispatch import Signal

from a2a_app import logs
from a2a_app.concurrency.event_loop import Contained, PerLoop

logger = logging.getLogger(__name__)

# How long a task waits for the receivers of a change before it goes on.
RECEIVER_SECONDS = 10.0

task_created = Signal()
"""A client's message has made a task."""
task_state_changed = Signal()
"""A task has gone from one state to another."""
task_waiting = Signal()
"""A task has begun to wait for its client: for input, or for authorization."""
task_ended = Signal()
"""A task has ended, in whichever way."""
approval_requested = Signal()
"""A task has asked somebody for a decision."""
approval_decided = Signal()
"""What a task has asked was decided, or was not decided in time."""
webhook_given_up = Signal()
"""A webhook gets nothing more, because of its failures or its owner."""

OF_TASKS = (
    task_created, task_state_changed, task_waiting, task_ended, approval_requested,
    approval_decided,
)  # fmt: skip  # as one list
"""The signals that a task's log leads to."""
_NAMES = {
    task_created: "task_created",
    task_state_changed: "task_state_changed",
    task_waiting: "task_waiting",
    task_ended: "task_ended",
    approval_requested: "approval_requested",
    approval_decided: "approval_decided",
    webhook_given_up: "webhook_given_up",
}

_under_way: "PerLoop[set[asyncio.Task[None]]]" = PerLoop(set)


def begin_sending(
    sender: type, signals: Iterable[tuple[Signal, dict[str, Any]]]
) -> "asyncio.Task[None]":
    """Begin to send signals, one after the other, each with its arguments.

    Args:
        sender: The model whose row has changed.
        signals: What to send.

    Returns:
        What `wait_for_receivers` waits for.
    """
    # In a new context: that of a request would tie the receivers to its thread, which may be gone.
    task = asyncio.get_running_loop().create_task(_send(sender, signals), context=Context())
    tasks = _under_way.get()
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return task


async def wait_for_receivers(sending: "asyncio.Task[None]") -> None:
    """Wait until the receivers have returned, and for RECEIVER_SECONDS at most."""
    _, late = await asyncio.wait([sending], timeout=RECEIVER_SECONDS)
    if late:
        sending.cancel()
        logger.error("Receivers of signals took longer than %d s; they are cancelled.",
                     RECEIVER_SECONDS)  # fmt: skip


async def settled() -> None:
    """Wait until the signals whose sending has begun on this event loop have been received."""
    if tasks := _under_way.get():
        await asyncio.wait(tasks)


async def _send(sender: type, signals: Iterable[tuple[Signal, dict[str, Any]]]) -> None:
    for signal, arguments in signals:
        logs.subject.set(_subject_of(arguments))
        try:
            with Contained("A receiver"):
                # It logs exceptions, and calls receivers without `async` in a thread.
                await signal.asend_robust(sender, **arguments)
        except RuntimeError:  # what `Contained` makes of a SystemExit
            logger.exception("A receiver of the signal %r failed.", _NAMES[signal])


def _subject_of(arguments: dict[str, Any]) -> logs.Subject:
    return logs.Subject(
        task=str(arguments["task_id"]),
        context=arguments.get("context_id", ""),
        agent=arguments["agent"],
        owner=arguments["owner"],
        tenant=arguments["tenant"],
    )
