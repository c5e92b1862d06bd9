"""Claims: a turn that a worker works on, and the slot in which it does."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.utils import timezone

from a2a_app import models, protocol
from a2a_app.database import selects
from a2a_app.store.task_head import RunKey, TaskHead
from a2a_app.store.updates import Credentials, MessageReceived


@dataclass(frozen=True, slots=True)
class WorkerSlot:
    """Room in a worker for one turn, which is claimed for it or stored as claimed."""

    worker: str
    lease: timedelta
    at: datetime = field(default_factory=timezone.now, compare=False)
    """When it was reserved. A run that has begun at this moment is this slot's, and not that of
    another slot of the same worker."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A turn that a worker may now work on, with all that its agent needs to know."""

    run: RunKey
    worker: str
    attempt: int
    head: TaskHead
    message: protocol.Message
    metadata: dict[str, Any]
    """The request's metadata."""
    accepted_output_modes: list[str]
    extensions: list[str]
    credentials: Credentials
    """Those with which the message came."""
    user: Any
    """The Django user whose task it is; None: it has none."""
    context_state: dict[str, Any]
    context_version: int
    trace: dict[str, str] = field(default_factory=dict)
    """The headers that name the trace of the request."""
    revision: str = ""
    """The revision of the agent's code under which the turn began."""


class CredentialColumns(NamedTuple):
    """The columns of a run's row that have the credentials with which its message came."""

    credential: str
    scopes: Sequence[str] | None
    agents: Sequence[str] | None
    handed_on: str

    @classmethod
    def of(cls, credentials: Credentials) -> "CredentialColumns":
        """Return what a row has of credentials."""
        return cls(credentials.name, credentials.scopes, credentials.agents, credentials.handed_on)

    def credentials(self) -> Credentials:
        """Return the credentials that a row has."""
        scopes, agents = (
            None if names is None else tuple(names) for names in (self.scopes, self.agents)
        )
        return Credentials(self.credential, scopes, agents, self.handed_on)


def first_claim(head: TaskHead, run: RunKey, worker: str, received: MessageReceived) -> Claim:
    """Return the claim of a turn that was just stored as claimed."""
    ids = {"context_id": head.context_id, "task_id": str(head.task_id)}
    state, version = _context_state(head)
    return Claim(
        run=run,
        worker=worker,
        attempt=1,
        head=replace(head, run_id=run.id, begins_context=False),
        message=received.message.model_copy(update=ids),
        metadata=received.metadata,
        accepted_output_modes=list(received.accepted_output_modes),
        extensions=list(received.extensions),
        credentials=received.credentials,
        user=user_of(head),
        context_state=state,
        context_version=version,
        trace=received.trace,
        revision=received.revision,
    )


def user_of(head: TaskHead) -> Any:
    """Return the Django user whose task it is; None: it has none."""
    if head.user_id is None:
        return None
    found = selects.select_models(get_user_model(), pk=head.user_id)
    return found[0] if found else None


def _context_state(head: TaskHead) -> tuple[dict[str, Any], int]:
    if head.begins_context:
        return {}, 0
    [(state, version)] = selects.select_values(
        models.Context, ("state", "version"), pk=head.context_key
    )
    return state, version
