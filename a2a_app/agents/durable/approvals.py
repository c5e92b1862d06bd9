"""Approvals: questions that a person decides before an agent goes on."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from hashlib import sha256
from typing import Any

from django.utils import timezone

from a2a_app.agents.content import agent_message, clean
from a2a_app.agents.durable.waits import refuse_inside_step
from a2a_app.agents.reading import Reader
from a2a_app.agents.values import Data, as_json
from a2a_app.database.values import new_key
from a2a_app.protocol import Message, TaskState
from a2a_app.store.durable.approvals import APPROVALS, Earlier, Told
from a2a_app.store.updates import Ask, Asked, StatusUpdate

CHOICES = ("yes", "no")
MAX_CHOICE = 100
MAX_PERMISSION = 255


class TurnSuspended(BaseException):  # no error: the turn goes on later
    """The turn waits, for a decision, a time or an event, and then its code begins once more.

    Let it pass. It is no `Exception`, so that code which handles errors does not meet it.
    """


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided. It is true if the first of the choices was."""

    choice: str
    """The choice, as the question named it. Empty: nobody has decided in time."""
    approved: bool
    """Whether it is the first of the choices."""
    comment: str
    """What the person has written besides."""
    decided_as: str
    """`operator` for a member of staff, or `caller`. Empty: nobody has decided in time."""
    user: Any
    """The Django user who has decided; None: it was none, or is deleted."""
    at: datetime
    """When it was decided, or was too late."""

    def __bool__(self) -> bool:
        """Tell whether the first of the choices was chosen."""
        return self.approved

    @property
    def is_expired(self) -> bool:
        """Whether nobody has decided in time."""
        return not self.decided_as


class Asker(Reader):
    """The verb of a turn that has a person decide."""

    # Each is set by Turn.
    task_id: Any
    number: int
    report: Callable[[], None]
    _usage: dict[str, Any]

    suspend: Callable[[], None]
    """Stops the agent's code, since the turn waits. It is set by who runs it."""
    _told: Told | None = None

    @cached_property
    def _asked(self) -> "Counter[str]":
        """How often this attempt has asked what, by its digest."""
        return Counter()

    async def approve(
        self,
        question: str,
        *,
        data: Data | None = None,
        choices: Sequence[str] = CHOICES,
        permission: str = "",
        until: datetime | timedelta | None = None,
    ) -> Decision:
        """Ask a person for a decision, and return it (sections 3.4.3 and 7.6).

        The turn ends here, and its worker is free. Once it is decided, the agent's code begins
        again with the same message, and here gets the decision. So code before this runs again: do
        what must not be done twice after it. The decision counts for this very question, data,
        choices and permission, and for this message only.

        In a synchronous agent: `turn.wait(turn.approve("Delete it?"))`.

        Args:
            question: The question, for people.
            data: What it is about, such as the arguments of a call.
            choices: What may be decided. The first one approves.
            permission: The permission of Django's that whoever decides must have, such as
                `shop.refund`; a client's answer counts for nothing then. Empty: the caller decides.
            until: When it is too late, or how long it may take. None: it is never too late.

        Raises:
            ValueError: The choices, the permission or the time are none.
            TurnSuspended: Nothing is decided yet. Let it pass.
        """
        refuse_inside_step()
        ask = self._ask(question, data, tuple(choices), permission, until)
        for earlier in self._told.earlier if self._told else ():
            if (earlier.digest, earlier.number) == (ask.digest, ask.number):
                return _decision(earlier)
        state = TaskState.AUTH_REQUIRED if permission else TaskState.INPUT_REQUIRED
        status = StatusUpdate(state, self._message(ask), self._usage)
        await self._writer.put(status, Asked(ask))
        self.suspend()
        raise TurnSuspended

    def _ask(
        self,
        question: str,
        data: Any,
        choices: tuple[str, ...],
        permission: str,
        until: datetime | timedelta | None,
    ) -> Ask:
        _check(choices, permission)
        question = clean(question, self.report)
        data = None if data is None else clean(as_json(data, self.report), self.report)
        asked = json.dumps([question, data, choices, permission], sort_keys=True)
        digest = sha256(asked.encode()).hexdigest()
        self._asked[digest] += 1
        return Ask(
            id=new_key(),
            turn=self.number,
            digest=digest,
            number=self._asked[digest],
            question=question,
            data=data,
            choices=choices,
            permission=permission,
            until=_moment(until),
        )

    def _message(self, ask: Ask) -> Message | None:
        wanted = {
            "approval": str(ask.id),
            "choices": list(ask.choices),
            "decidedBy": "operator" if ask.permission else "caller",
        }
        if ask.until is not None:
            wanted["until"] = ask.until.isoformat()
        if ask.data is not None:
            wanted["data"] = ask.data
        place: dict[str, Any] = {"context_id": self._claim.head.context_id, "task_id": self.task_id}
        message = agent_message(ask.question, wanted, **place, report=self.report)
        return message and message.model_copy(update={"extensions": [APPROVALS]})


def _check(choices: tuple[str, ...], permission: str) -> None:
    folded = {choice.strip().casefold() for choice in choices}
    if not choices or len(folded) < len(choices) or "" in folded:
        raise ValueError(f"choices are {list(choices)!r}: they must be different texts.")
    if max(map(len, choices)) > MAX_CHOICE:
        raise ValueError(f"choices must not be longer than {MAX_CHOICE} characters.")
    app, _, name = permission.partition(".")
    if permission and not (app and name and len(permission) <= MAX_PERMISSION):
        raise ValueError(f"permission {permission!r} is none of Django's, such as app.permission.")


def _moment(until: datetime | timedelta | None) -> datetime | None:
    if isinstance(until, timedelta):
        return timezone.now() + until
    if until is not None and timezone.is_naive(until):
        raise ValueError("until must have a time zone, as django.utils.timezone.now() has.")
    return until


def _decision(earlier: Earlier) -> Decision:
    approved = bool(earlier.choice) and earlier.choice == earlier.choices[0]
    given = (earlier.comment, earlier.decided_as, earlier.decided_by, earlier.at)
    return Decision(earlier.choice, approved, *given)
