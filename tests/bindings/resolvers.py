"""Resolvers of tenants, as a project might have them."""

from typing import Any

from django.contrib.auth.models import Group
from django.http import HttpRequest

from a2a_app.agents import Tenant

asked: list[tuple[str, Any]] = []
"""What `records` was asked: the tenant, and the caller."""

PLACES = {
    "": Tenant(),
    "acme": Tenant("acme"),
    "globex": Tenant("globex"),
    # Another name of the same.
    "acme-inc": Tenant("acme"),
    "echo": Tenant(agent="echo"),
    "acme-echo": Tenant("acme", agent="echo"),
}


def by_name(request: HttpRequest, tenant: str, caller: Any) -> Tenant | None:
    """Know a few tenants, and let everybody into them."""
    return PLACES.get(tenant)


async def by_caller(request: HttpRequest, tenant: str, caller: Any) -> Tenant | None:
    """Let in callers whose header X-User is ann, without any Django user."""
    return PLACES.get(tenant) if str(caller) == "ann" else None


def by_group(request: HttpRequest, tenant: str, caller: Any) -> Tenant | None:
    """Ask the database."""
    group = Group.objects.filter(name=tenant).first()
    return Tenant(str(group.pk)) if group else None


class ByHeader:
    """Goes by a header, whatever the client names."""

    async def __call__(self, request: HttpRequest, tenant: str, caller: Any) -> Tenant | None:
        return Tenant(request.headers.get("X-Part", ""))


by_header = ByHeader()


def records(request: HttpRequest, tenant: str, caller: Any) -> Tenant:
    """Note what it is asked."""
    asked.append((tenant, caller))
    return Tenant()


def breaks(request: HttpRequest, tenant: str, caller: Any) -> Tenant:
    """Fail."""
    raise RuntimeError("The directory is away.")


def returns_nonsense(request: HttpRequest, tenant: str, caller: Any) -> Any:
    """Return no Tenant."""
    return tenant


def returns_an_unfit_key(request: HttpRequest, tenant: str, caller: Any) -> Tenant:
    """Return a key that cannot be one."""
    return Tenant(key="a/b")


def returns_no_agent(request: HttpRequest, tenant: str, caller: Any) -> Tenant:
    """Name an agent that does not exist."""
    return Tenant(agent="nobody")


NOTHING = "cannot be called"
