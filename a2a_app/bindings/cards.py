"""Cards over HTTP (sections 8.2 and 8.6)."""

from hashlib import sha256
from typing import cast

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.cache import get_conditional_response

from a2a_app import conf, protocol
from a2a_app.agents import Agent
from a2a_app.agents.cards import Served, agent_card
from a2a_app.bindings.security import declared_security


def serve_card(request: HttpRequest, agent: Agent) -> HttpResponseBase:
    """Answer with an agent's card, or with 304 where the client has it already."""
    body = agent_card(agent, served_by(request, agent)).to_json().encode()
    etag = f'"{sha256(body).hexdigest()[:32]}"'
    response = HttpResponse(body, content_type="application/json")
    response = cast("HttpResponse", get_conditional_response(request, etag=etag, response=response))
    response["ETag"] = etag
    response["Cache-Control"] = f"public, max-age={conf.current().card_max_age}"
    return response


def served_by(request: HttpRequest, agent: Agent) -> Served:
    """Say how an agent is served to the client of a request."""
    security = declared_security()
    return Served(
        interfaces=_interfaces(base_url(request), agent),
        security_schemes=security.schemes,
        security_requirements=security.requirements,
    )


def _interfaces(base: str, agent: Agent) -> list[protocol.AgentInterface]:
    return [
        protocol.AgentInterface(
            url=base + reverse("a2a:jsonrpc", args=[agent.slug]),
            protocol_binding="JSONRPC",
            protocol_version=protocol.VERSION,
        )
    ]


def base_url(request: HttpRequest) -> str:
    """Give the scheme and host that clients reach: PUBLIC_URL first, else the request's."""
    return (conf.current().public_url or request.build_absolute_uri("/")).rstrip("/")
