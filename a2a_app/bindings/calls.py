"""Calls: what a request says besides its body (section 3.2.6)."""

from functools import partial
from typing import Any

from django.http import HttpRequest

from a2a_app import conf, protocol
from a2a_app.agents import Agent
from a2a_app.bindings.dialects import Dialect
from a2a_app.bindings.interfaces import base_url, served_by
from a2a_app.bindings.tenants import resolve
from a2a_app.operations.call import Call, Caller, activated_extensions


async def call_of(
    request: HttpRequest, agent: Agent, caller: Caller, dialect: Dialect, given: dict[str, Any]
) -> Call:
    """Make the call of a request; raises A2AError where the agent cannot serve it.

    Args:
        request: What came in.
        agent: The one whose URL was asked; a tenant may have another.
        caller: Who asks.
        dialect: How the version asked for writes it.
        given: The parameters in JSON of 1.0, not checked yet.
    """
    named, served, key = "", partial(served_by, request, agent), ""
    if conf.current().tenant_resolver:
        named = dialect.tenant(given)
        served = partial(served, tenant=named)
        agent, key = await resolve(request, agent, named, caller.identity)
    return Call(
        agent=agent,
        caller=caller,
        tenant=named,
        tenant_key=key,
        extensions=activated_extensions(agent, asked_extensions(request)),
        last_event_id=header(request, "Last-Event-ID"),
        idempotency_key=header(request, protocol.IDEMPOTENCY_HEADER).strip(),
        push_payload=dialect.push_payload,
        served=served,
        base_url=partial(base_url, request),
    )


def header(request: HttpRequest, name: str) -> str:
    """Give a header of a request, empty where it has none.

    Django's `request.headers` makes a mapping of them all, which takes longer than what we do with
    the few that we look for.
    """
    value: str = request.META.get(f"HTTP_{name.upper().replace('-', '_')}", "")
    return value


def asked_extensions(request: HttpRequest) -> list[str]:
    """Give the URIs of the extensions that the client wants to use."""
    names = (protocol.EXTENSIONS_HEADER, protocol.EXTENSIONS_HEADER_03)
    given = ",".join([header(request, name) for name in names])
    return [uri.strip() for uri in given.split(",") if uri.strip()]


def named_version(request: HttpRequest) -> str:
    """Give the version that a request names, in a header or in the query; empty: none."""
    name = protocol.VERSION_HEADER
    return (header(request, name) or request.GET.get(name) or "").strip()


def version_of(request: HttpRequest, *, implied: str) -> str:
    """Give the version that a request asks for; raises VersionNotSupportedError (section 3.6.2).

    Args:
        request: Names its version in a header or in the query, or not at all.
        implied: The version that the method or the URL belongs to: it tells where the request
            does not.
    """
    given = named_version(request)
    version = protocol.requested_version(given) if given else implied
    served = conf.current().protocol_versions
    if version not in served:
        raise protocol.VersionNotSupportedError(
            f"Version {version[:20]!r} is not served here. Name one of {', '.join(served)} in the "
            f"header {protocol.VERSION_HEADER}.",
            requested=version[:20],
            supported=", ".join(served),
        )
    return version
