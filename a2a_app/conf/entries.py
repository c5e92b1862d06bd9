"""Entries of settings that are objects themselves: of RETENTION, BUDGETS and REMOTE_AGENTS."""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

PRUNABLE_STATES = (
    "completed", "failed", "canceled", "rejected", "input_required", "auth_required",
)  # fmt: skip  # as one list
"""The states in which a task may be deleted: it has ended, or waits for its client."""

HOST = r"^(\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]]+)(:\d{1,5})?$"
"""The form of a host, with or without its port: `agents.example.com:8443`, `[::1]`."""


class Retention(BaseModel):
    """One rule of the setting RETENTION: of which tasks, and how long they are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: int | None = Field(ge=1, le=36_500)
    """For how many days a task is kept once it ended, or waited for its client. None: for ever."""

    agent: str = ""
    """The slug of the agent whose tasks are meant. Empty: all agents."""

    state: str = Field("", pattern=f"^({'|'.join(PRUNABLE_STATES)}|)$")
    """The state of the tasks that are meant. Empty: all in which a task has ended."""

    owner: str = ""
    """The owner of the tasks that are meant, as the admin shows it. Empty: all owners."""


# No number has one: a text such as "9.50" is none of these.
_DottedPath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")]


class Budget(BaseModel):
    """One entry of the setting BUDGETS: how much may be used of language models, by turn.usage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    per: Literal["caller", "tenant", "agent"]
    """Who has it: each caller within its tenant, each tenant with all its callers, or each agent
    with all that it works for."""

    period: Literal["day", "month"]
    """How long it lasts, by TIME_ZONE. A new one begins at midnight, or on the first of a month."""

    agent: str = ""
    """The slug of the agent whose use counts, and for whose messages it holds. Empty: all
    agents."""

    tokens: Annotated[int, Field(ge=0)] | _DottedPath | None = None
    """How many tokens, read and written together. Or the dotted path of a function without `async`
    that takes an `a2a_app.agents.Spender` and returns the number, or None for no limit."""

    cost: Annotated[Decimal, Field(ge=0)] | _DottedPath | None = None
    """How much it may cost, in place of `tokens`, or the function that returns that."""

    currency: str = Field("USD", pattern="^[A-Z]{3}$")
    """The currency of `cost`. What is recorded in another one does not count."""

    @model_validator(mode="after")
    def _limits_one_thing(self) -> Self:
        if (self.tokens is None) == (self.cost is None):
            raise ValueError("has one of tokens and cost")
        return self

    @property
    def unit(self) -> Literal["tokens", "cost"]:
        """What it limits."""
        return "tokens" if self.cost is None else "cost"

    @property
    def limit(self) -> int | Decimal | str:
        """How much it is, or the dotted path of the function that says so."""
        limit = self.tokens if self.cost is None else self.cost
        assert limit is not None  # one of them is set
        return limit

    @property
    def name(self) -> str:
        """Its name in errors, in the admin and in the log for security."""
        names = ("BUDGETS", self.per, self.agent, self.unit, self.period)
        return ".".join(filter(None, names))


class RemoteAgentSettings(BaseModel):
    """One entry of the setting REMOTE_AGENTS: an agent elsewhere, and how it is called."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=str.upper)

    url: str = Field(pattern="^https?://")
    """The URL of the agent, or of its card. Its host may have any address, and http is allowed."""

    auth_credentials: str | dict[str, str] = Field("", repr=False)
    """The credentials for each security scheme of its card, by the scheme's name; or one for
    whichever scheme it is. For HTTP Basic: user and password with a colon between them."""

    auth_credentials_from: str = ""
    """Dotted path of a callable, with or without `async`, that takes the name of this entry and
    returns what AUTH_CREDENTIALS would have. It is called for each client."""

    headers: dict[str, str] = Field(default_factory=dict, repr=False)
    """More headers of each request."""

    hosts: tuple[Annotated[str, StringConstraints(pattern=HOST)], ...] = ()
    """Hosts besides that of the URL to which its card may lead. The credentials go there too. One
    without a port is meant with the usual ones, 80 for http and 443 for https."""

    signature: Literal["ignore", "check", "require"] = "check"
    """`check`: a card with signatures needs a valid one. `require`: each card does. `ignore`: none
    does."""

    key: str = ""
    """The public key of its card's signatures, in PEM. Empty: the keys that its own host has."""
