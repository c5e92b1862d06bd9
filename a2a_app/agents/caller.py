"""TurnCaller: the caller who sent a message, as the agent that answers it may know it."""

from dataclasses import dataclass, field
from typing import Any, Self

from a2a_app.models.owners import caller_of, tenant_of
from a2a_app.store.claims import Claim
from a2a_app.store.secrets import unseal

# How an owner begins that is a name, and no row.
_NAME = "name:"


@dataclass(frozen=True, slots=True)
class TurnCaller:
    """The caller who sent a message."""

    owner: str
    """The owner of the task within its tenant, such as `user:7`, `name:ann` or `shop.customer:3`.
    No two callers have the same one. Empty: callers without credentials share it."""
    name: str
    """The name that the authenticator gave as a `CallerName`, or the user's; else the owner."""
    user: Any
    """The Django user whose task it is; None: it is no user's."""
    key: str
    """The name of the credentials with which this message came, such as the primary key of an API
    key's row. It is no secret. Empty: the authenticator gave none."""
    scopes: frozenset[str] | None
    """The scopes to which these credentials are limited; None: they are not."""
    agents: frozenset[str] | None
    """The slugs of the agents to which they are limited; None: they are not."""
    tenant: str
    """The key of the tenant. Empty: there is none."""
    _sealed: str = field(default="", repr=False)

    @classmethod
    def of(cls, claim: Claim) -> Self:
        """Return the caller of the message that a run answers."""
        given, owner = claim.credentials, claim.head.owner
        scopes = None if given.scopes is None else frozenset(given.scopes)
        agents = None if given.agents is None else frozenset(given.agents)
        return cls.of_owner(owner, claim.user, given.name, scopes, agents, given.handed_on)

    @classmethod
    def of_owner(
        cls,
        owner: str,
        user: Any,
        key: str,
        scopes: frozenset[str] | None,
        agents: frozenset[str] | None,
        sealed: str = "",
    ) -> Self:
        """Return the caller who is an owner, tenant and all, by credentials of that name."""
        own, tenant = caller_of(owner), tenant_of(owner)
        name = own.removeprefix(_NAME) if user is None else user.get_username()
        return cls(own, name, user, key, scopes, agents, tenant, sealed)

    @property
    def handed_on(self) -> dict[str, Any]:
        """What the project's `HAND_ON` has taken from the request of this message; mostly nothing.

        Raises:
            UnreadableError: It was encrypted with a SECRET_KEY that the project no longer has.
        """
        return unseal(self._sealed)
