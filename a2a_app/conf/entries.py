"""Entries of settings that are objects themselves: of RETENTION and of REMOTE_AGENTS."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

PRUNABLE_STATES = (
    "completed", "failed", "canceled", "rejected", "input_required", "auth_required",
)  # fmt: skip  # as one list
"""The states in which a task may be deleted: it has ended, or waits for its client."""


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


class RemoteAgentSettings(BaseModel):
    """One entry of the setting REMOTE_AGENTS: an agent elsewhere, and how it is called."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=str.upper)

    url: str = Field(pattern="^https?://")
    """The URL of the agent, or of its card. Its host may have any address, and http is allowed."""

    credentials: str | dict[str, str] = Field("", repr=False)
    """The credentials for each security scheme of its card, by the scheme's name; or one for
    whichever scheme it is. For HTTP Basic: user and password with a colon between them."""

    credentials_from: str = ""
    """Dotted path of a callable, with or without `async`, that takes the name of this entry and
    returns what CREDENTIALS would have. It is called for each client."""

    headers: dict[str, str] = Field(default_factory=dict, repr=False)
    """More headers of each request."""

    hosts: tuple[str, ...] = ()
    """Hosts besides that of the URL to which its card may lead. The credentials go there too."""

    signature: Literal["ignore", "check", "require"] = "check"
    """`check`: a card with signatures needs a valid one. `require`: each card does. `ignore`: none
    does."""

    key: str = ""
    """The public key of its card's signatures, in PEM. Empty: the keys that its own host has."""
