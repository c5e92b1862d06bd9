"""Tenant: what a project's resolver makes of the `tenant` that a client names (section 4.4.6)."""

from dataclasses import dataclass

MAX_KEY = 100


@dataclass(frozen=True, slots=True)
class Tenant:
    """Whose part of the server a call is for, and which agent answers it there.

    Raises ValueError where the key is too long, or has a slash or what cannot be printed.
    """

    key: str = ""
    """Keeps all that is one tenant's apart from all others'. Empty: with what has no tenant."""
    agent: str = ""
    """The slug of the agent that answers. Empty: the one whose URL was asked."""

    def __post_init__(self) -> None:
        if len(self.key) > MAX_KEY or "/" in self.key or not self.key.isprintable():
            raise ValueError(
                f"The key of a tenant is {self.key[:MAX_KEY]!r}: it must be printable, without a "
                f"slash, {MAX_KEY} characters at most."
            )
