"""Agents of the same project, which are called without HTTP."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from django.apps import apps
from django.core.exceptions import ValidationError
from django.urls import Resolver404
from django.urls import resolve as resolve_url

from a2a_app import conf, database, protocol, runners
from a2a_app.agents import Agent, AgentNotFoundError, registry
from a2a_app.agents.answers import Event
from a2a_app.agents.caller import TurnCaller
from a2a_app.agents.cards import card_for
from a2a_app.agents.durable.peers import Asking
from a2a_app.agents.extensions import TASK_GENERATIONS
from a2a_app.bindings.callers import ANONYMOUS, caller_with
from a2a_app.bindings.interfaces import served_at
from a2a_app.bindings.wsgi import do_on_lasting_loop, stream_on_lasting_loop
from a2a_app.client.connection import Connection, Request
from a2a_app.concurrency.event_loop import is_brief
from a2a_app.operations import OPERATIONS, Call, Operation
from a2a_app.operations.call import Caller, CallerName, Grant
from a2a_app.operations.generations import Generations
from a2a_app.protocol import StreamResponse

# The URLs of an agent that lead to it: its own, with and without a slash, and that of its card.
_VIEWS = {"a2a:jsonrpc", "a2a:jsonrpc_without_slash", "a2a:agent_card"}


def local_agent(url: str) -> Agent | None:
    """Return the agent of this project that has a URL, below PUBLIC_URL; None if none has it."""
    public, wanted = urlsplit(conf.current().public_url), urlsplit(url)
    if not public.netloc or (public.scheme, public.netloc) != (wanted.scheme, wanted.netloc):
        return None
    try:
        if wanted.path in ("", "/"):
            return registry.default()
        match = resolve_url(wanted.path)
        return registry.get(match.kwargs["slug"]) if match.view_name in _VIEWS else None
    except (Resolver404, AgentNotFoundError):
        return None


class LocalConnection(Connection):
    """Calls the operations of an agent of this project, in the name of a caller."""

    def __init__(self, agent: Agent, identity: Any) -> None:
        """Connect to an agent.

        Args:
            agent: The agent.
            identity: The caller: a user, or what else an authenticator may return. None: nobody.
        """
        self._agent, self._identity = agent, identity

    async def __aenter__(self) -> "LocalConnection":
        """Find out who calls; raise UnauthenticatedError where callers must be known."""
        given = self._identity
        asking = given if isinstance(given, Asking) else Asking(None, given)
        if isinstance(asking.by, TurnCaller):
            with _unavailable_while_away():
                call = await _call_on_behalf(self._agent, asking.by)
        else:
            call = Call(self._agent, await _caller(asking.by), tenant_key=asking.tenant)
        self._call = replace(call, asked_by=asking.asked)
        public_url = conf.current().public_url
        served = served_at(public_url, self._agent)
        self.card = await card_for(self._agent, served, self._call.caller.identity)
        return self

    async def ask(self, request: Request) -> dict[str, Any]:
        """Perform an operation."""
        work = self._ask(request)
        # A turn outlives this call, and is heard at once on the loop on which it runs.
        return await (do_on_lasting_loop(work) if is_brief() else work)

    async def open(self, request: Request) -> AsyncGenerator[Event, None]:
        """Perform an operation that streams."""
        stream = self._open(request)
        async with aclosing(stream_on_lasting_loop(stream) if is_brief() else stream) as events:
            async for event in events:
                yield event

    async def _ask(self, request: Request) -> dict[str, Any]:
        operation, call, params = await self._checked(request)
        assert operation.unary is not None  # it is asked for its result
        with _unavailable_while_away():
            return (await operation.unary(call, params)).to_dict()

    async def _open(self, request: Request) -> AsyncGenerator[Event, None]:
        operation, call, params = await self._checked(request)
        assert operation.streaming is not None  # it is asked for its stream
        with _unavailable_while_away():
            opened = await operation.streaming(call, params)
            async with aclosing(opened) as stream:
                async for items in stream:
                    for item in items:
                        yield Event(StreamResponse.model_validate_json(item.body), item.seq)

    async def _checked(self, request: Request) -> tuple[Operation, Call, protocol.Params]:
        await runners.current().begin()
        operation = OPERATIONS[request.operation]
        call = replace(
            self._call,
            idempotency_key=request.idempotency_key,
            last_event_id=request.last_event_id,
            extensions=request.extensions,
            generations=_generations(request),
        )
        if isinstance(self._identity, Asking) and operation.scope != "send":
            # To follow what it has asked, and to cancel it, is for the turn to decide.
            assert isinstance(request.params, operation.params)  # as its name says
            return operation, call, request.params
        params = await operation.checked_params(call, request.params.to_dict())
        return operation, call, params


def _generations(request: Request) -> Generations | None:
    current, required = request.current_generation, request.required_generation
    if TASK_GENERATIONS.uri in request.extensions or (current, required) != (None, None):
        return Generations(current, required)
    return None


async def _caller(given: Any) -> Caller:
    if given is None:
        if conf.current().anonymous != "share":
            raise protocol.UnauthenticatedError("Say who calls: an agent of this project.")
        return ANONYMOUS
    return await caller_with(given if isinstance(given, Grant) else Grant(given))


async def _call_on_behalf(agent: Agent, by: TurnCaller) -> Call:
    """Return the call of a turn, in the name of its own caller."""
    identity = by.user or await database.read(_identity_of, by.owner)

    async def handed_on() -> dict[str, Any]:
        return by.handed_on

    grant = Grant(identity, by.scopes, by.agents, credential=by.key)
    user_id = None if by.user is None else by.user.pk
    caller = Caller(by.owner, user_id, identity, grant if by.owner else None)
    return Call(agent, caller, tenant_key=by.tenant, handed_on=handed_on)


def _identity_of(owner: str) -> Any:
    """Return what an authenticator returns for an owner that is no user; None: nobody knows."""
    kind, _, key = owner.partition(":")
    if kind == "name":
        return CallerName(key)
    if "." not in kind:
        return None
    try:
        model = apps.get_model(kind)
        return model._base_manager.filter(pk=model._meta.pk.to_python(key)).first()
    except (LookupError, ValidationError):
        return None  # of an app that is installed no more


@contextmanager
def _unavailable_while_away() -> Iterator[None]:
    """Raise UnavailableError where the database is away, as clients elsewhere are told."""
    try:
        yield
    except database.AwayError as error:
        raise protocol.UnavailableError from error
