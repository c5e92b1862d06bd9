"""The caller of a request, whom the project's own authenticators identify (section 7)."""

import inspect
import time
from dataclasses import replace
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest
from ninja.errors import HttpError

from a2a_app import conf, protocol
from a2a_app.agents import Agent, AgentNotFoundError, registry
from a2a_app.bindings.throttles import throttle
from a2a_app.concurrency.hooks import call_hook
from a2a_app.models.owners import may_own, name_of_row
from a2a_app.operations.call import Caller, CallerName, Grant

ANONYMOUS = Caller(owner="")
CARD_OPERATION = "GetAgentCard"
"""What a hidden agent's `permission` is asked about whoever wants to know that there is one."""
CARD_SCOPE = "read"
"""The scope of that operation."""


async def caller_of(request: HttpRequest, *, counts: bool = True) -> Caller:
    """Return the caller of a request.

    Args:
        request: The request.
        counts: Whether it is one of the requests that the caller makes in this minute.

    Raises:
        UnauthenticatedError: The caller is unknown, and the settings refuse unknown callers.
        ResourceExhaustedError: It has made too many requests in this minute.
        TypeError: The project identifies the caller by something that cannot own tasks.
    """
    since = time.monotonic()
    grant, found = await _identify(request)
    caller = ANONYMOUS if grant is None else await caller_with(grant)
    if counts and conf.current().requests_per_minute:
        await throttle(request, caller.owner)
    if grant is not None:
        caller = replace(caller, authenticator=found, since=since)
        # What is refused to it later is logged with its name.
        request.a2a_caller = caller  # type: ignore[attr-defined]  # ours, as `user` is Django's
        return caller
    if conf.current().anonymous == "share":
        return replace(ANONYMOUS, since=since)
    raise protocol.UnauthenticatedError(
        "The request has no valid credentials, and this server refuses callers without any "
        f"({conf.NAME}['ANONYMOUS'] is 'refuse').{found and f' {found}.'}"
    )


async def caller_with(grant: Grant) -> Caller:
    """Return the caller that has these credentials; raises TypeError as `caller_of` does."""
    return _caller(grant, await _owner_of(grant.identity))


async def grant_of(request: HttpRequest) -> Grant | None:
    """Return the credentials by which an authenticator knows the caller; None if it is unknown."""
    grant, _ = await _identify(request)
    return grant


async def visible_agent(request: HttpRequest, slug: str) -> Agent:
    """Return an agent that exists for the caller of a request.

    For others a hidden agent is like one that does not exist, and takes as long to be refused.

    Raises:
        Http404: There is no such agent.
    """
    try:
        found = registry.get(slug)
    except AgentNotFoundError:
        found = None
    if found is not None and not found.hidden:
        return found
    for agent in [found] if found else registry.hidden[:1]:
        if await sees(await viewer_of(request), agent) and found:
            return found
    raise Http404(f"There is no agent {slug!r}.")


async def viewer_of(request: HttpRequest, *, always: bool = False) -> Grant | None:
    """Return the caller's credentials, for the hidden agents that it sees; None if unknown.

    Args:
        request: The request.
        always: Whether to ask where no agent is hidden too.
    """
    try:
        return await grant_of(request) if always or registry.hidden else None
    except PermissionDenied:  # the project refuses this caller altogether
        return None


async def sees(viewer: Grant | None, agent: Agent) -> bool:
    """Tell whether an agent exists for a caller with these credentials."""
    if not agent.hidden:
        return True
    if viewer is None:
        return await agent.permits(None, CARD_OPERATION, CARD_SCOPE)
    # What the credentials are not for would be refused in any case.
    may_see = await agent.permits(viewer.identity, CARD_OPERATION, CARD_SCOPE)
    return may_see and viewer.is_for_agent(agent)


@conf.cached()
def authenticators() -> dict[str, Any]:
    """Return the project's authenticators, by the names that they have in cards.

    Raises:
        ImproperlyConfigured: There is nothing at the path of one of them, or it cannot be called.
    """
    by_name: dict[str, Any] = {}
    for path in conf.current().authentication:
        authenticator = conf.imported("AUTHENTICATION", path)
        short_name = path.rpartition(".")[2]
        # Two modules may each have one of the same name.
        name = path if short_name in by_name else short_name
        by_name[name] = authenticator() if isinstance(authenticator, type) else authenticator
    return by_name


def accept_only(request: HttpRequest, name: str, authenticate: Any) -> None:
    """Have one authenticator decide on a request, in place of the project's.

    It holds for copies of the request too, by which it is asked again.
    """
    request.a2a_authenticators = {name: authenticate}  # type: ignore[attr-defined]  # as `a2a_caller`


def _authenticators_of(request: HttpRequest) -> dict[str, Any]:
    given: dict[str, Any] | None = getattr(request, "a2a_authenticators", None)
    return authenticators() if given is None else given


async def _identify(request: HttpRequest) -> tuple[Grant | None, str]:
    """Ask the authenticators, in their order, until one knows the caller.

    Returns:
        The caller's credentials, and the name of that authenticator. If none knows the caller:
        None, and the reasons why they refused.
    """
    refusals = []
    for name, authenticate in _authenticators_of(request).items():
        try:
            identity = await call_hook(authenticate, request)
        except HttpError as error:
            if error.status_code not in (401, 403):
                raise
            # django-ninja's authenticators refuse in this way, such as a session without its CSRF
            # token. The next one may know the caller all the same.
            refusals.append(str(error))
            continue
        grant = identity if isinstance(identity, Grant) else Grant(identity)
        # Django's AnonymousUser is an object like others, and is true.
        if grant.identity and getattr(grant.identity, "is_authenticated", True):
            return grant, name
    return None, "; ".join(refusals)


async def _owner_of(identity: Any) -> Any:
    """Return the owner of the caller's tasks: its identity, or what the project makes of it."""
    resolver = owner_resolver()
    if resolver is None:
        return identity
    owner = await call_hook(resolver, identity)
    return CallerName(owner) if isinstance(owner, str) else owner


@conf.cached()
def owner_resolver() -> Any:
    """Return the project's callable that makes an owner of an identity; None if it has none.

    Raises:
        ImproperlyConfigured: There is nothing at its path, or it cannot be called.
    """
    path = conf.current().owner_resolver
    return conf.imported("OWNER_RESOLVER", path) if path else None


def _caller(grant: Grant, owner: Any) -> Caller:
    """Return a caller, by what owns its tasks.

    Never by `str()` of an object: two callers might share one, and the same caller might have
    another the next time.
    """
    # A row that is not saved has no key yet, or one that was made up for this request.
    if isinstance(owner, Model) and not owner._state.adding:
        if not may_own(owner):
            raise TypeError(_unheard(owner))
        user_id = owner.pk if isinstance(owner, get_user_model()) else None
        return Caller(name_of_row(owner), user_id, grant.identity, grant)
    if isinstance(owner, CallerName) and len(owner):
        return Caller(f"name:{owner}", None, grant.identity, grant)
    raise TypeError(_refusal(type(owner)))


def _unheard(owner: Model) -> str:
    return (
        f"A row of {owner._meta.label} cannot own tasks: add the model to "
        f"{conf.NAME}['OWNER_MODELS'], so that what becomes of its tasks is known once the row is "
        "deleted."
    )


def _refusal(kind: type) -> str:
    return (
        f"{kind.__name__} cannot own tasks. Return from the authenticator a saved row, such as a "
        "user, or a2a_app.authentication.CallerName(…) for a name that stays the same; or set "
        f"{conf.NAME}['OWNER_RESOLVER']."
    )


def unfit_identities() -> list[str]:
    """Return what is wrong with the types that authenticators say they return.

    Raises ImproperlyConfigured where there is nothing at the path of one of them.
    """
    if conf.current().owner_resolver:
        return []
    return [
        f"{name}: {_refusal(kind)}"
        for name, authenticator in authenticators().items()
        for kind in _declared_identities(authenticator)
        if not issubclass(kind, (Model, CallerName, Grant, AnonymousUser, NoneType))
    ]


def _declared_identities(authenticator: Any) -> list[type]:
    """Return the classes of which an authenticator's annotations say that it returns them."""
    function = getattr(authenticator, "authenticate", authenticator)
    if not inspect.isroutine(function):
        function = type(function).__call__
    try:
        declared = get_type_hints(function).get("return")
    except NameError:  # an annotation may name what is imported for type checkers only
        return []
    kinds = get_args(declared) or (declared,)
    found = [get_origin(kind) or kind for kind in kinds]
    return [kind for kind in found if isinstance(kind, type) and kind not in (object, Any)]
