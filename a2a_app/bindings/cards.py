"""Cards over HTTP (sections 8.2 and 8.6)."""

from hashlib import sha256
from typing import cast

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.cache import get_conditional_response

from a2a_app import conf, protocol
from a2a_app.agents import Agent
from a2a_app.agents.cards import agent_card


def serve_card(request: HttpRequest, agent: Agent) -> HttpResponseBase:
    """Answer with an agent's card, or with 304 where the client has it already."""
    body = agent_card(agent, [_interface(request, agent)]).to_json().encode()
    etag = f'"{sha256(body).hexdigest()[:32]}"'
    response = HttpResponse(body, content_type="application/json")
    response = cast("HttpResponse", get_conditional_response(request, etag=etag, response=response))
    response["ETag"] = etag
    response["Cache-Control"] = f"public, max-age={conf.current().card_max_age}"
    return response


def _interface(request: HttpRequest, agent: Agent) -> protocol.AgentInterface:
    return protocol.AgentInterface(
        url=public_url(request, reverse("a2a:jsonrpc", args=[agent.slug])),
        protocol_binding="JSONRPC",
        protocol_version=protocol.VERSION,
    )


def public_url(request: HttpRequest, path: str) -> str:
    """Give the absolute URL that clients reach a path by: PUBLIC_URL first, else the request's."""
    base = conf.current().public_url.rstrip("/")
    return f"{base}{path}" if base else request.build_absolute_uri(path)
