"""Whether those who have a stream open, or wait for an answer, may still have it (section 7).

The authenticators are asked again, with a copy of the request. Callers with the same credentials
are one question, and an authenticator with a method `look_again` gets one question for all of its
callers. One thread, with one connection, does what is not asynchronous of one look.
"""

import asyncio
import logging
from collections.abc import Hashable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeAlias

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from a2a_app import database, protocol
from a2a_app.access import Guard, Watch
from a2a_app.agents import Agent
from a2a_app.bindings.callers import authenticators, caller_of, caller_with, sees
from a2a_app.bindings.refusals import described
from a2a_app.bindings.tenants import resolve
from a2a_app.bindings.threads import own_thread
from a2a_app.concurrency.event_loop import PerLoop
from a2a_app.concurrency.hooks import call_hook
from a2a_app.operations import Operation
from a2a_app.operations.call import Caller
from a2a_app.security import SecurityEvent, record

logger = logging.getLogger(__name__)

# How many callers are asked about at once, where the authenticator does not block.
CONCURRENCY = 8
# How long the project may take to answer for one caller. Without an answer nothing changes.
ANSWER_SECONDS = 10.0
# What differs between requests with the same credentials, and no authenticator goes by.
_VOLATILE = {
    "CONTENT_LENGTH", "HTTP_ACCEPT", "HTTP_CONTENT_LENGTH", "HTTP_IDEMPOTENCY_KEY",
    "HTTP_LAST_EVENT_ID", "HTTP_TRACEPARENT", "HTTP_TRACESTATE", "HTTP_X_REQUEST_ID", "REMOTE_PORT",
}  # fmt: skip  # names only
# What Django's middleware and its authentication store in a request.
_CACHED = ("user", "auser", "_cached_user", "_acached_user", "session")

Key: TypeAlias = tuple[Hashable, ...]
Known: TypeAlias = Caller | protocol.A2AError | None
"""A caller as it is now, or why it is refused; None if nobody could say."""


@dataclass(frozen=True, eq=False)
class Claim:
    """A request that was let in: who has made it, for which agent, and for which tenant."""

    request: HttpRequest
    asked: Agent
    """The agent of the URL."""
    agent: Agent
    """The agent that answers."""
    caller: Caller
    tenant: str
    tenant_key: str
    operation: Operation | None
    """None: it has opened a connection. Each call over that has a claim of its own."""

    @cached_property
    def key(self) -> Key:
        """What all claims with the same credentials have in common."""
        if self.caller.grant and self.caller.grant.credential:
            return self.caller.authenticator, self.caller.grant.credential
        request = self.request
        given = [
            (name, value)
            for name, value in request.META.items()
            if isinstance(value, str) and name not in _VOLATILE
        ]
        return request.method, request.path_info, *sorted(given)

    @property
    def question(self) -> Key:
        """What all claims have in common that have the same answer."""
        operation = "" if self.operation is None else self.operation.name
        return self.key, self.asked.slug, self.tenant, operation


def guard_of(
    request: HttpRequest,
    asked: Agent,
    agent: Agent,
    caller: Caller,
    tenant: str,
    tenant_key: str,
    operation: Operation,
    limit: asyncio.Timeout | None = None,
) -> Guard:
    """Return the guard of a request that was let in, which lasts; see `Claim` and `Guard`."""
    claim = Claim(request, asked, agent, caller, tenant, tenant_key, operation)
    return Guard(_watches.get(), claim, caller.since, limit)


def guard_of_connection(request: HttpRequest, agent: Agent, caller: Caller) -> Guard:
    """Return the guard of a connection: ended once its caller is nobody, or sees no such agent."""
    return Guard(_watches.get(), Claim(request, agent, agent, caller, "", "", None), caller.since)


async def examine(claims: Sequence[Claim]) -> list[protocol.A2AError | None]:
    """Return for each claim why it would be refused now; None where it would be let in."""
    first = {claim.key: claim for claim in claims}
    async with own_thread():
        known = await _look_again(first)
        unknown = {key: claim for key, claim in first.items() if key not in known}
        limit = asyncio.Semaphore(CONCURRENCY)
        found = await asyncio.gather(*(_identify(claim, limit) for claim in unknown.values()))
        known |= dict(zip(unknown, found, strict=True))
        refusals: dict[Key, protocol.A2AError | None] = {}
        for claim in claims:
            if claim.question not in refusals:
                refusals[claim.question] = await _refusal(claim, known[claim.key])
        for claim in claims:
            _record(claim, refusals[claim.question])
        return [refusals[claim.question] for claim in claims]


def _record(claim: Claim, refusal: protocol.A2AError | None) -> None:
    if refusal is not None:
        about = described(claim.request, claim.caller)
        record(SecurityEvent.ACCESS_ENDED, agent=claim.asked.slug, reason=refusal.message, **about)


async def _look_again(claims: dict[Key, Claim]) -> dict[Key, Known]:
    """Ask the authenticators that can answer for many callers at once."""
    known: dict[Key, Known] = {}
    for name, authenticator in authenticators().items():
        ask = getattr(authenticator, "look_again", None)
        credentials = {str(key[1]) for key in claims if len(key) == 2 and key[0] == name}
        if ask is None or not credentials:
            continue
        grants = await _asked(partial(call_hook, ask, credentials))
        for credential in credentials:
            known[name, credential] = await _caller_in(grants, credential)
    return known


async def _caller_in(grants: Any, credential: str) -> Known:
    if not isinstance(grants, Mapping):
        return None  # The authenticator failed.
    grant = grants.get(credential)
    known: Known = _lost() if grant is None else await _asked(partial(caller_with, grant))
    return known


async def _identify(claim: Claim, limit: asyncio.Semaphore) -> Known:
    async with limit:
        fresh = as_if_it_came_now(claim.request)
        # It is we who ask: a look must not cost callers the requests that they may make.
        known: Known = await _asked(partial(caller_of, fresh, counts=False))
        return known


async def _refusal(claim: Claim, known: Known) -> protocol.A2AError | None:
    """Return why a claim is refused, now that its caller is known."""
    if not isinstance(known, Caller):
        return known
    if known.owner != claim.caller.owner:
        return _lost()
    operation = claim.operation
    if operation is None:
        sees_it = await _asked(partial(sees, known.grant, claim.asked))
        return _lost() if sees_it is False else None
    if claim.tenant_key or claim.tenant or known.names_tenants:
        found = await _asked(
            partial(resolve, claim.request, claim.asked, claim.tenant, known.grant)
        )
        if isinstance(found, protocol.A2AError):
            return found
        if found is not None and found != (claim.agent, claim.tenant_key):
            return _lost()
    refused: protocol.A2AError | None = await _asked(
        partial(known.check, claim.agent, operation.scope, operation.name)
    )
    return refused


async def _asked(ask: Any) -> Any:
    """Return what the project answers, or the error with which it refuses.

    Returns None where it fails. To end all streams because of a directory that is away would lock
    out everybody, and bring all of them back at once.
    """
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await ask()
    except protocol.UnavailableError:
        return None  # such as the keys of tokens, or too many who guess passwords
    except protocol.A2AError as error:
        return error
    except PermissionDenied as error:
        return protocol.PermissionDeniedError(str(error) or None)
    except Exception as error:  # hooks may raise anything
        if not database.note_away(error):
            logger.warning("Could not ask again who a caller is.", exc_info=True)
        return None


def _lost() -> protocol.A2AError:
    return protocol.UnauthenticatedError("The credentials are no longer valid here.")


def as_if_it_came_now(request: HttpRequest) -> HttpRequest:
    """Return a copy of a request that remembers nothing of who has sent it."""
    fresh: Any = copy(request)
    for name in _CACHED:
        fresh.__dict__.pop(name, None)
    session, user = getattr(request, "session", None), getattr(request, "user", None)
    if session is not None:
        fresh.session = type(session)(session.session_key)
        AuthenticationMiddleware(lambda _: None).process_request(fresh)  # type: ignore[arg-type]  # it calls no view
    elif user is not None:
        # The project's own middleware has set it, and is not asked again.
        fresh.user = SimpleLazyObject(partial(_reread, user))
        fresh.auser = sync_to_async(partial(_reread, user))
    return fresh  # type: ignore[no-any-return]  # a copy is of the same type


def _reread(user: Any) -> Any:
    """Return a user as the database has it now; nobody if it is gone, or not active any more."""
    if not user.is_authenticated:
        return user
    found = get_user_model()._default_manager.filter(pk=user.pk).first()
    return found if found is not None and getattr(found, "is_active", True) else AnonymousUser()


_watches = PerLoop(lambda: Watch(examine))
