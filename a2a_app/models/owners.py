"""Owners: the one string that says whose a task, a conversation or a key is (R11)."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

MAX_OWNER = 255

# No caller's own name begins so: `bindings/callers.py` gives each a kind, and this is none of them.
_TENANT = "tenant:"


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose tasks a read may see: one owner's, with one agent (R11)."""

    agent: str
    owner: str

    def tasks(self) -> dict[str, Any]:
        """Return the conditions on tasks that every read for a caller begins with."""
        return {"agent": self.agent, "owner": self.owner}


def owner_in(tenant: str, caller: str) -> str:
    """Give the owner that a caller is within a tenant; no two pairs of them have the same.

    Args:
        tenant: The tenant's key, which has no slash; empty: none.
        caller: The caller's own name; empty: nobody known.

    Raises ValueError for a key with a slash, which could make another pair's owner.
    """
    if "/" in tenant:
        raise ValueError("The key of a tenant must have no slash.")
    place = f"{_TENANT}{tenant}/" if tenant else ""
    if len(place) + len(caller) > MAX_OWNER:
        # Cut short, two names could become one.
        caller = f"digest:{sha256(caller.encode()).hexdigest()}"
    return place + caller


def tenant_of(owner: str) -> str:
    """Give the key of the tenant that an owner is within; empty: none."""
    return owner.removeprefix(_TENANT).partition("/")[0] if owner.startswith(_TENANT) else ""
