"""The project's resolver of the tenants that clients name (section 4.4.6)."""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.utils.module_loading import import_string

from a2a_app import conf, protocol
from a2a_app.agents import Agent, Tenant, registry
from a2a_app.concurrency.hooks import call_hook


async def resolve(
    request: HttpRequest, agent: Agent, name: str, identity: Any
) -> tuple[Agent, str]:
    """Ask the project's resolver for a tenant.

    Args:
        request: The request.
        agent: The agent of its URL.
        name: The name by which the client calls the tenant; empty for none.
        identity: The object with which the authenticator identifies the caller; None if unknown.

    Returns:
        The agent that answers for the tenant, and the tenant's key.

    Raises:
        InvalidParamsError: The resolver knows no such tenant, or not for this caller.
        TypeError: The resolver returned neither a Tenant nor None.
        AgentNotFoundError: The tenant names an agent that does not exist.
    """
    tenant = await call_hook(resolver(), request, name, identity)
    if tenant is None:
        raise protocol.InvalidParamsError.of("tenant", "names no tenant that you may use")
    if not isinstance(tenant, Tenant):
        raise TypeError(f"The resolver of tenants returned {type(tenant).__name__}, not a Tenant.")
    return (registry.get(tenant.agent) if tenant.agent else agent), tenant.key


@conf.cached()
def resolver() -> Callable[..., Any]:
    """Return the project's resolver.

    Raises:
        ImportError: There is nothing at its path.
        ImproperlyConfigured: The object there cannot be called.
    """
    path = conf.current().tenant_resolver
    imported: Any = import_string(path)
    if not callable(imported):
        raise ImproperlyConfigured(f"{conf.NAME}['TENANT_RESOLVER']: {path} cannot be called.")
    return imported  # type: ignore[no-any-return]  # callable() says no more
