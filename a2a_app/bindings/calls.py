"""Calls: what a request says besides its body (section 3.2.6)."""

from collections.abc import Mapping
from functools import partial

from django.http import HttpRequest

from a2a_app import protocol
from a2a_app.agents import Agent
from a2a_app.bindings.callers import caller_of
from a2a_app.bindings.interfaces import served_by
from a2a_app.operations.call import Call, activated_extensions


async def call_of(request: HttpRequest, agent: Agent) -> Call:
    """Make the call of a request; raises A2AError where the agent cannot serve it."""
    return Call(
        agent=agent,
        caller=await caller_of(request),
        extensions=activated_extensions(agent, asked_extensions(request.headers)),
        last_event_id=request.headers.get("Last-Event-ID", ""),
        served=partial(served_by, request, agent),
    )


def asked_extensions(headers: Mapping[str, str]) -> list[str]:
    """Give the URIs of the extensions that the client wants to use."""
    given = headers.get(protocol.EXTENSIONS_HEADER, "")
    return [uri.strip() for uri in given.split(",") if uri.strip()]


def check_version(request: HttpRequest, *, named_by_method: bool) -> None:
    """Refuse a version that is not served (section 3.6.2).

    Args:
        request: Names its version in a header or in the query, or not at all, which means 0.3.
        named_by_method: Whether the method exists in our version only, which then tells as well.
    """
    header = protocol.VERSION_HEADER
    given = request.headers.get(header) or request.GET.get(header)
    if named_by_method and not given:
        return
    version = protocol.requested_version(given)
    if version != protocol.VERSION:
        raise protocol.VersionNotSupportedError(
            f"Version {version[:20]!r} is not served here; {protocol.VERSION} is. "
            f"Name it in the header {header}.",
            requested=version[:20],
            supported=protocol.VERSION,
        )
