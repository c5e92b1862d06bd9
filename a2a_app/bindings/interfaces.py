"""The interfaces of agents: their URLs, and the credentials that callers need (section 4.4.6)."""

import logging

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest
from django.urls import reverse

from a2a_app import conf, protocol
from a2a_app.agents import Agent, registry
from a2a_app.agents.cards import ServedAt
from a2a_app.bindings.security import declared_security

logger = logging.getLogger(__name__)

GRPC = "GRPC"
"""The name of the binding that `bindings.grpc` serves."""
WEBSOCKET = "urn:a2a-app:websocket:v1"
"""The name of the binding that `bindings.websocket` serves, which is none of the specification."""


def served_to(request: HttpRequest, agent: Agent, tenant: str = "") -> ServedAt:
    """Return how an agent, or a tenant at its URL, is served to the client of a request."""
    claimed = request.headers.get("X-Forwarded-Proto", "").strip().lower()
    if claimed == "https" and request.scheme == "http" and not conf.current().public_url:
        _warn_of_http()
    can_stream = not isinstance(request, WSGIRequest)
    return served_at(base_url(request), agent, tenant, can_stream=can_stream)


def served_at(base: str, agent: Agent, tenant: str = "", *, can_stream: bool = True) -> ServedAt:
    """Return how an agent, or a tenant at its URL, is served to clients that use a base URL."""
    security = declared_security()
    return ServedAt(
        interfaces=_interfaces(base, agent, tenant, can_stream=can_stream),
        security_schemes=security.schemes,
        security_requirements=security.requirements,
        keys_url=base + reverse("a2a:jwks"),
        can_stream=can_stream,
    )


def _interfaces(
    base: str, agent: Agent, tenant: str, *, can_stream: bool
) -> list[protocol.AgentInterface]:
    # Clients of HTTP+JSON append a path to their URL, and some would make a double slash of it.
    urls = {"JSONRPC": "a2a:jsonrpc", "HTTP+JSON": "a2a:jsonrpc_without_slash"}
    reached = [
        (binding, base + reverse(name, args=[agent.slug]), tenant) for binding, name in urls.items()
    ]
    if conf.current().websocket and can_stream:
        # `ws` for `http`, and `wss` for `https`.
        path = reverse("a2a:jsonrpc", args=[agent.slug])
        reached.append((WEBSOCKET, base.replace("http", "ws", 1) + path, tenant))
    if url := conf.current().grpc_url:
        reached.append((GRPC, url, _named_over_grpc(agent, tenant)))
    return [
        protocol.AgentInterface(
            url=url, protocol_binding=binding, protocol_version=version, tenant=named
        )
        for version in conf.current().protocol_versions
        for binding, url, named in reached
        # Clients of 0.3 have no way to name a tenant.
        if not (named and version == protocol.VERSION_03)
    ]


def _named_over_grpc(agent: Agent, tenant: str) -> str:
    """Return the tenant that names an agent over gRPC, where all agents have one URL.

    The site's needs no name: there are clients that do not know of tenants.
    """
    if tenant:
        return f"{agent.slug}/{tenant}"
    return "" if agent.slug == registry.default_slug else agent.slug


def base_url(request: HttpRequest) -> str:
    """Return the scheme and host that clients use: PUBLIC_URL if it is set, else the request's."""
    return (conf.current().public_url or request.build_absolute_uri("/")).rstrip("/")


@conf.cached()
def _warn_of_http() -> None:
    # Cached, since anybody may send that header with each request.
    logger.warning(
        "A card has http URLs, though its request came over https, says X-Forwarded-Proto, which "
        "nothing trusts. Set A2A['PUBLIC_URL'] or SECURE_PROXY_SSL_HEADER."
    )
