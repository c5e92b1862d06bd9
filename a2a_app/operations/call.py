"""Operations, their calls, and their callers."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from django.views.decorators.debug import sensitive_variables

from a2a_app import conf, protocol
from a2a_app.access import Guard
from a2a_app.agents import Agent
from a2a_app.agents.cards import ServedAt
from a2a_app.concurrency.budget import Reservation
from a2a_app.files.links import Links
from a2a_app.models.owners import Scope, name_of_user, owner_in
from a2a_app.operations.generations import Generations, with_generation, with_generations
from a2a_app.operations.streams import Stream
from a2a_app.store.secrets import seal
from a2a_app.store.updates import Credentials

T = TypeVar("T", bound=protocol.Model)

NO_STREAMS = (
    "This server cannot stream: it speaks WSGI, and streams need ASGI. All other operations work. "
    "Send the message by SendMessage, and read its task by GetTask."
)
OPERATOR = "urn:a2a-app:operator:v1"
"""Under this name the metadata of what staff has done says who has."""
SCOPES = {
    "send": "Send messages, and get what answers them.",
    "read": "Read tasks, files and the extended card, and follow tasks.",
    "cancel": "Cancel tasks.",
    "push": "Have the events of tasks sent to webhooks.",
}
"""What credentials may be limited to, and what each allows."""


class CallerName(str):
    """A name that identifies a caller for ever, where there is no row of a model for it.

    An authenticator returns one in place of a plain string. Plain strings are refused, because many
    authenticators return a token, which is secret and changes.
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Grant:
    """What an authenticator may return in place of the caller, to say more of its credentials."""

    identity: Any
    """The caller, as an authenticator returns it: as a rule a Django user."""
    scopes: frozenset[str] | None = None
    """The scopes of the operations that they allow, of `SCOPES`. None: all of them."""
    agents: frozenset[str] | None = None
    """The slugs of the agents that they are for. None: all of them."""
    tenants: frozenset[str] | None = None
    """The keys of the tenants that they are for. None: those to which the project's resolver lets
    the caller. Where there is no resolver, clients name a tenant by its key, and need not name the
    only one."""
    credential: str = ""
    """A name of the credentials, such as the key of an API key's row, that is no secret. Where the
    authenticator has a method `look_again`, that is asked by these names whether they are still
    good, for all open streams at once."""

    def is_for_agent(self, agent: Agent) -> bool:
        """Tell whether they are for an agent."""
        return self.agents is None or agent.slug in self.agents

    def is_for_tenant(self, key: str) -> bool:
        """Tell whether they are for the tenant with a key."""
        return self.tenants is None or key in self.tenants


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of an operation, as an authenticator has identified it."""

    owner: str
    """The caller's own name, of any length; empty for an unknown caller."""
    user_id: int | str | None = None
    """The Django user's primary key, if there is one."""
    identity: Any = field(default=None, compare=False)
    """The object that the authenticator returned, such as a Django user."""
    grant: Grant | None = field(default=None, compare=False)
    """The caller's credentials; None for an unknown caller."""
    authenticator: str = field(default="", compare=False)
    """The name of the authenticator that knows the caller."""
    since: float = field(default=0.0, compare=False)
    """When it was asked, by `time.monotonic`."""

    @property
    def is_anonymous(self) -> bool:
        """Whether the caller is unknown."""
        return not self.owner

    @property
    def names_tenants(self) -> bool:
        """Whether its credentials say which tenants they are for."""
        return self.grant is not None and self.grant.tenants is not None

    async def check(self, agent: Agent, scope: str, operation: str) -> None:
        """Check that the caller may use an agent, and for an operation.

        Raises:
            PermissionDeniedError: The caller's credentials do not allow it, or the agent's
                `permission` does not.
            UnauthenticatedError: The agent is for known callers only.
        """
        self.check_scope(scope)
        if self.grant and not self.grant.is_for_agent(agent):
            raise protocol.PermissionDeniedError("The credentials are not for this agent.")
        if agent.permission is None or await agent.permits(self.identity, operation, scope):
            return
        if self.is_anonymous:
            raise protocol.UnauthenticatedError("The agent is for known callers only.")
        raise protocol.PermissionDeniedError("You have no permission to do this with the agent.")

    def check_scope(self, scope: str) -> None:
        """Check that the caller's credentials have a scope; raise PermissionDeniedError."""
        if self.grant and self.grant.scopes is not None and scope not in self.grant.scopes:
            raise protocol.PermissionDeniedError(
                f"The credentials lack the scope {scope!r}.", scope=scope
            )


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an operation: the agent, the caller and the service parameters."""

    agent: Agent
    caller: Caller
    tenant: str = ""
    """The tenant that the client named, if the project resolves tenants (section 4.4.6)."""
    tenant_key: str = ""
    """The key of that tenant, which separates its tasks from all others."""
    extensions: tuple[str, ...] = ()
    """The agent's extensions that the client activated (section 4.6)."""
    last_event_id: str = ""
    """The number of the last event that the client has seen, if its stream broke off."""
    idempotency_key: str = ""
    """The client's key for a message, under which it may send the message again."""
    generations: Generations | None = None
    """What the client has said of generations; None: it does not know them."""
    push_payload: str = ""
    """The name in `push.payloads` of the format for this caller's webhooks; empty for events."""
    may_cancel_again: bool = True
    """Whether to cancel a canceled task is a success, which changes nothing."""
    stays_while_waiting: bool = True
    """Whether a subscription stays open while the task waits for its client."""
    can_stream: bool = True
    """Whether the server can send a stream as it comes, and not only a whole answer."""
    served_at: Callable[[], ServedAt] = ServedAt
    """Returns where and how the agent is served, for its card; few operations call it."""
    base_url: Callable[[], str] = str
    """Returns the scheme and host that the client uses, for the links to files."""
    trace: Mapping[str, str] = field(default_factory=dict)
    """The request's headers that name its trace, where anybody asks for them."""
    guard: Callable[..., Guard] | None = None
    """Makes the guard of an operation that lasts; takes the operation, and the timeout in which the
    caller waits, if it does."""
    held: list[Reservation] = field(default_factory=list)
    """The room in memory of a large answer, to be released once that is sent."""

    asked_by: UUID | None = None
    """The key of the remote task of another turn that calls; None: none does."""
    operator: Any = None
    """The primary key of the member of staff in whose name it is; None: it is the caller's own."""
    handed_on: Callable[[], Awaitable[dict[str, Any]]] | None = None
    """Asks the project what it hands on of the request; None: the project has no such hook."""

    @property
    def required_generation(self) -> int | None:
        """The generation that a task must have, or what is asked is refused; None: any."""
        return self.generations.required if self.generations else None

    def shown(self, result: T) -> T:
        """Return a result as the client is to see it."""
        return result if self.generations is None else with_generation(result)

    def shown_stream(self, stream: Stream) -> Stream:
        """Return a stream as the client is to see it."""
        return stream if self.generations is None else with_generations(stream)

    async def credentials(self) -> Credentials:
        """Return what the agent may know of the credentials, with what the project hands on."""
        grant = self.caller.grant or Grant(None)
        scopes = None if grant.scopes is None else tuple(sorted(grant.scopes))
        agents = None if grant.agents is None else tuple(sorted(grant.agents))
        handed_on = seal(await self.handed_on()) if self.handed_on is not None else ""
        return Credentials(grant.credential, scopes, agents, handed_on)

    def signed(self, metadata: dict[str, Any], field: str) -> dict[str, Any]:
        """Return metadata that the caller has sent, with the operator who has, if it was one.

        Raises:
            InvalidParamsError: A client makes itself out to be an operator.
        """
        if self.operator is not None:
            return {**metadata, OPERATOR: {"user": name_of_user(self.operator)}}
        if OPERATOR in metadata:
            raise protocol.InvalidParamsError.of(field, f"must not have {OPERATOR}")
        return metadata

    @property
    def links(self) -> Links:
        """The links to the caller's files."""
        return Links(self.scope.owner, self.base_url)

    @property
    def scope(self) -> Scope:
        """The tasks that the caller may see."""
        return Scope(self.agent.slug, owner_in(self.tenant_key, self.caller.owner))


def activated_extensions(agent: Agent, asked_for: list[str]) -> tuple[str, ...]:
    """Return the URIs of the agent's extensions that a client activates (section 4.6.3).

    Args:
        agent: The agent, whose card declares its extensions.
        asked_for: The URIs that the client named.

    Raises:
        ExtensionSupportRequiredError: The client did not name one that the agent requires.
    """
    for extension in agent.extensions:  # those that the server adds are never required
        if extension.required and extension.uri not in asked_for:
            raise protocol.ExtensionSupportRequiredError(
                f"The agent requires the extension {extension.uri}: name it in the header "
                f"{protocol.EXTENSIONS_HEADER}.",
                uri=extension.uri,
            )
    if not asked_for:
        return ()
    return tuple(each.uri for each in agent.declared_extensions if each.uri in asked_for)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, which has either `unary` or `streaming`."""

    name: str
    """The name in the specification, which is also that of the JSON-RPC method (section 5.3)."""
    params: type[protocol.Params]
    scope: str
    """What credentials need for it, one of `SCOPES`."""
    unary: Callable[[Call, Any], Awaitable[protocol.Model]] | None = None
    """Returns the result."""
    streaming: Callable[[Call, Any], Awaitable[Stream]] | None = None
    """Returns a stream that is open, or raises A2AError."""

    @sensitive_variables("given")
    async def checked_params(self, call: Call, given: dict[str, Any]) -> protocol.Params:
        """Check that the caller may do this and the agent can, and check the parameters of a call.

        Args:
            call: The agent, and the caller.
            given: The parameters in JSON of 1.0.

        Raises:
            PermissionDeniedError: The caller may not.
            A2AError: The agent's card does not promise the operation (section 3.3.4).
            InvalidParamsError: A parameter is wrong.
        """
        await call.caller.check(call.agent, self.scope, self.name)
        self._check_capability(call)
        return self.params.from_dict(given, _limits())

    def _check_capability(self, call: Call) -> None:
        if self.streaming is not None and not call.agent.streaming:
            raise protocol.UnsupportedOperationError("The agent does not stream.")
        if self.streaming is not None and not call.can_stream:
            raise protocol.UnsupportedOperationError(NO_STREAMS)
        if "PushNotification" in self.name and not call.agent.push_notifications:
            raise protocol.PushNotificationNotSupportedError


@conf.cached()
def _limits() -> dict[str, int]:
    current = conf.current()
    return {"max_parts": current.max_parts, "max_references": current.max_references}
