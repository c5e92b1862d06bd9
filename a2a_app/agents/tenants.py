"""Tenant: the result of a project's resolver for the `tenant` of a request (section 4.4.6)."""

from dataclasses import dataclass

MAX_KEY = 100


@dataclass(frozen=True, slots=True)
class Tenant:
    """The tenant for which a call is made, and the agent that answers it.

    Raises:
        ValueError: The key is too long, or has a slash or a character that is not printable.
    """

    key: str = ""
    """The key of the tenant, whose tasks no other tenant sees. Empty: as without a tenant."""
    agent: str = ""
    """The slug of the agent that answers. Empty: the agent of the URL."""

    def __post_init__(self) -> None:
        if len(self.key) > MAX_KEY or "/" in self.key or not self.key.isprintable():
            raise ValueError(
                f"The key of a tenant is {self.key[:MAX_KEY]!r}: it must be printable, without a "
                f"slash, {MAX_KEY} characters at most."
            )
