"""Approvals: who may decide a question of a task, and how (sections 3.4.3 and 7.6)."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from a2a_app import database, runners
from a2a_app.concurrency.event_loop import shield
from a2a_app.concurrency.hooks import call_hook
from a2a_app.models.owners import name_of_user
from a2a_app.operations.call import Call
from a2a_app.protocol import InvalidParamsError, Message, Part, PermissionDeniedError
from a2a_app.security import SecurityEvent, record
from a2a_app.store.durable.approvals import (
    OpenApproval,
    answered,
    decided,
    open_approval,
    open_with_head,
)
from a2a_app.store.refusals import DecidedError, Refused
from a2a_app.store.task_head import TaskHead
from a2a_app.store.updates import Decided, Resolution
from a2a_app.store.writes.writer import write

MAX_COMMENT = 10_000


def names_decision(part: Part) -> bool:
    """Tell whether a part is data that decides a question, whatever else its agent accepts."""
    data = part.data if part.has_data else None
    return isinstance(data, Mapping) and data.keys() == {"approval", "choice"}


async def find_resolution(call: Call, head: TaskHead, message: Message) -> Resolution | None:
    """Return what a client's message decides of the question that its task asks.

    It may name the question and the choice in data, or be nothing but the text of a choice.

    Returns:
        The decision. None: the message decides nothing, and is the beginning of another turn.

    Raises:
        InvalidParamsError: It names another question, or what is no choice.
        PermissionDeniedError: It decides what only staff may decide.
        DecidedError: The question is no longer open.
    """
    if not head.asks:
        if any(names_decision(part) for part in message.parts):
            raise DecidedError
        return None
    row = await database.read(open_approval, task=head.task_id)
    if not row.choices:  # another agent asks, which hears the answer
        return answered(row.id, *_decider(call))
    given = _answer_in(row, message)
    if given is not None and row.permission:
        raise PermissionDeniedError("Only staff may decide this.", approval=str(row.id))
    said = message.text.strip()
    if given is not None:
        choice, comment = given, said
    else:
        choice, comment = _named(row, said), ""
        if not choice or row.permission or len(message.parts) > 1:
            return None
    _check_length(comment)
    return decided(row.id, choice, comment, *_decider(call))


def _decider(call: Call) -> tuple[str, Any]:
    """Return as what somebody decides, and the key of the user who does, if it is one."""
    if call.operator is not None:
        return "operator", call.operator
    return "caller", call.caller.user_id


async def decide(approval: UUID, choice: str, *, user: Any, comment: str = "") -> None:
    """Decide a question in the name of staff, whose task goes on with it.

    Args:
        approval: The key of the `Approval`.
        choice: One of its choices.
        user: The Django user who decides, and who must have its permission.
        comment: What the agent is told besides.

    Raises:
        PermissionDeniedError: The user does not have the permission, or the caller must decide.
        InvalidParamsError: It is none of the choices, or the comment is too long.
        DecidedError: The question is no longer open.
    """
    row, head = await database.read(open_with_head, approval)
    if not (row.permission and await call_hook(user.has_perm, row.permission)):
        raise PermissionDeniedError("You may not decide this.", approval=str(approval))
    if choice not in row.choices:
        raise _no_choice("choice", row)
    _check_length(comment)
    resolution = decided(row.id, choice, comment, "operator", user.pk)
    runner = runners.current()
    try:
        await shield(
            write(head, Decided(resolution), enqueue=runner.enqueue),
            refusals=(Refused, DecidedError),
        )
    except Refused:  # its task has ended or is deleted
        raise DecidedError from None
    record(
        SecurityEvent.STAFF_DECIDED,
        owner=head.owner,
        agent=head.agent,
        actor=name_of_user(user.pk),
        task=str(head.task_id),
        choice=choice,
    )
    await runner.start(head.task_id, None, head.owner)


def _answer_in(row: OpenApproval, message: Message) -> str | None:
    """Return the choice that a part of data names; None: no part names a question."""
    for index, part in enumerate(message.parts):
        if not names_decision(part):
            continue
        data: Any = part.data
        field = f"message.parts[{index}].data"
        if data["approval"] != str(row.id):
            raise InvalidParamsError.of(f"{field}.approval", "is not the open question of the task")
        if not (choice := _named(row, data["choice"])):
            raise _no_choice(f"{field}.choice", row)
        return choice
    return None


def _named(row: OpenApproval, text: Any) -> str:
    """Return the choice that a text names, in whatever case; empty if it names none."""
    folded = text.strip().casefold() if isinstance(text, str) else ""
    named = [choice for choice in row.choices if choice.strip().casefold() == folded]
    return named[0] if named else ""


def _no_choice(field: str, row: OpenApproval) -> InvalidParamsError:
    return InvalidParamsError.of(field, f"must be one of: {', '.join(row.choices)}")


def _check_length(comment: str) -> None:
    if len(comment) > MAX_COMMENT:
        raise InvalidParamsError.of("comment", f"must not be longer than {MAX_COMMENT} characters")
