"""The tenants that clients name, by the project's resolver or their credentials (section 4.4.6)."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest

from a2a_app import conf, protocol
from a2a_app.agents import Agent, Tenant, registry
from a2a_app.concurrency.hooks import call_hook
from a2a_app.operations.call import Grant


async def resolve(
    request: HttpRequest, agent: Agent, name: str, grant: Grant | None
) -> tuple[Agent, str]:
    """Return what the project's resolver says of a tenant, or the caller's credentials.

    Args:
        request: The request.
        agent: The agent of its URL.
        name: The name by which the client calls the tenant; empty for none.
        grant: The caller's credentials; None if it is unknown.

    Returns:
        The agent that answers for the tenant, and the tenant's key.

    Raises:
        InvalidParamsError: There is no such tenant, or not for this caller.
        TypeError: The resolver returned neither a Tenant nor None.
        AgentNotFoundError: The tenant names an agent that does not exist.
    """
    if conf.current().tenant_resolver:
        tenant = await _resolved(request, name, grant)
    else:
        tenant = _granted(name, grant)
    if tenant is None or (grant and not grant.is_for_tenant(tenant.key)):
        raise protocol.InvalidParamsError.of("tenant", "names no tenant that you may use")
    return (registry.get(tenant.agent) if tenant.agent else agent), tenant.key


async def _resolved(request: HttpRequest, name: str, grant: Grant | None) -> Tenant | None:
    identity = None if grant is None else grant.identity
    tenant = await call_hook(resolver(), request, name, identity)
    if tenant is None or isinstance(tenant, Tenant):
        return tenant
    raise TypeError(f"The resolver of tenants returned {type(tenant).__name__}, not a Tenant.")


def _granted(name: str, grant: Grant | None) -> Tenant | None:
    """Return the tenant of a name that is a key, or the only one of the credentials."""
    keys = (grant and grant.tenants) or frozenset()
    key = next(iter(keys)) if len(keys) == 1 and not name else name
    try:
        return Tenant(key) if key in keys else None
    except ValueError:  # no tenant here may have this key
        return None


@conf.cached()
def resolver() -> Callable[..., Any]:
    """Return the project's resolver.

    Raises:
        ImproperlyConfigured: There is nothing at its path, or it cannot be called.
    """
    return conf.imported("TENANT_RESOLVER", conf.current().tenant_resolver)
