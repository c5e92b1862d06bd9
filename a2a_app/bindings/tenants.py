"""Tenants: what the project's resolver makes of those that clients name (section 4.4.6)."""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.utils.module_loading import import_string

from a2a_app import conf, protocol
from a2a_app.agents import Agent, Tenant, registry
from a2a_app.concurrency.hooks import call_hook


async def resolve(request: HttpRequest, agent: Agent, named: str, caller: Any) -> tuple[Agent, str]:
    """Ask the project's resolver; gives the agent that answers, and the key of the tenant.

    Args:
        request: What came in.
        agent: The one whose URL was asked.
        named: The tenant that the client names; empty: none.
        caller: What the authenticator gave; None: nobody known.

    Raises:
        InvalidParamsError: The resolver knows no such tenant, or none of this caller's.
        TypeError: It gave something else than a Tenant or None.
        AgentNotFoundError: It gave an agent that there is not.
    """
    found = await call_hook(resolver(), request, named, caller)
    if found is None:
        raise protocol.InvalidParamsError.of("tenant", "names no tenant that you may use")
    if not isinstance(found, Tenant):
        raise TypeError(f"The resolver of tenants gave {type(found).__name__}, not a Tenant.")
    return (registry.get(found.agent) if found.agent else agent), found.key


@conf.cached()
def resolver() -> Callable[..., Any]:
    """Give the project's resolver.

    Raises:
        ImportError: The path leads nowhere.
        ImproperlyConfigured: What is there cannot be called.
    """
    path = conf.current().tenant_resolver
    found: Any = import_string(path)
    if not callable(found):
        raise ImproperlyConfigured(f"{conf.NAME}['TENANT_RESOLVER']: {path} cannot be called.")
    return found  # type: ignore[no-any-return]  # callable() says no more
