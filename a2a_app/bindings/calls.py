"""The call of a request: its headers and its service parameters (section 3.2.6)."""

from functools import partial
from typing import Any

from django.http import HttpRequest

from a2a_app import conf, protocol
from a2a_app.agents import Agent
from a2a_app.bindings.dialects import Dialect
from a2a_app.bindings.interfaces import base_url, served_to
from a2a_app.bindings.tenants import resolve
from a2a_app.operations.call import Call, Caller, activated_extensions


async def call_of(
    request: HttpRequest, agent: Agent, caller: Caller, dialect: Dialect, given: dict[str, Any]
) -> Call:
    """Return the call that a request makes.

    Args:
        request: The request.
        agent: The agent of its URL. A tenant may have another one.
        caller: The caller.
        dialect: The dialect of the version that the client asks for.
        given: The parameters in JSON of 1.0, not checked yet.

    Raises:
        A2AError: The agent cannot serve the call.
    """
    tenant, tenant_key, served_at = "", "", partial(served_to, request, agent)
    if conf.current().tenant_resolver:
        tenant = dialect.tenant(given)
        served_at = partial(served_at, tenant=tenant)
        agent, tenant_key = await resolve(request, agent, tenant, caller.identity)
    return Call(
        agent=agent,
        caller=caller,
        tenant=tenant,
        tenant_key=tenant_key,
        extensions=activated_extensions(agent, requested_extensions(request)),
        last_event_id=header(request, "Last-Event-ID"),
        idempotency_key=header(request, protocol.IDEMPOTENCY_HEADER).strip(),
        push_payload=dialect.push_payload,
        may_cancel_again=dialect.may_cancel_again,
        stays_while_waiting=dialect.stays_while_waiting,
        served_at=served_at,
        base_url=partial(base_url, request),
    )


def header(request: HttpRequest, name: str) -> str:
    """Return a header of a request, empty if it has none.

    `request.headers` would make a mapping of all headers, which takes longer than all we do with
    the few that we need.
    """
    value: str = request.META.get(f"HTTP_{name.upper().replace('-', '_')}", "")
    return value


def requested_extensions(request: HttpRequest) -> list[str]:
    """Return the URIs of the extensions that the client wants to use."""
    names = (protocol.EXTENSIONS_HEADER, protocol.EXTENSIONS_HEADER_03)
    uris = ",".join([header(request, name) for name in names]).split(",")
    return [uri.strip() for uri in uris if uri.strip()]


def named_version(request: HttpRequest) -> str:
    """Return the version that a request names in a header or in its query (section 3.6).

    Returns:
        `major.minor`, without a patch number; a value that is no version as it is; empty if the
        request names none.
    """
    name = protocol.VERSION_HEADER
    named = (header(request, name) or request.GET.get(name) or "").strip()
    numbers = named.split(".")
    if len(numbers) == 3 and all(number.isdecimal() for number in numbers):
        return ".".join(numbers[:2])
    return named


def version_of(request: HttpRequest, *, implied: str) -> str:
    """Return the version that a request asks for (section 3.6.2).

    Args:
        request: The request, which may name a version in a header or in its query.
        implied: The version of the method or the URL, which counts if the request names none.

    Raises:
        VersionNotSupportedError: This version is not served here.
    """
    version = named_version(request) or implied
    versions = conf.current().protocol_versions
    if version not in versions:
        raise protocol.VersionNotSupportedError(
            f"Version {version[:20]!r} is not served here. Name one of {', '.join(versions)} in "
            f"the header {protocol.VERSION_HEADER}.",
            requested=version[:20],
            supported=", ".join(versions),
        )
    return version
