"""Cards over HTTP (sections 8.2 and 8.6)."""

from hashlib import sha256
from typing import cast

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.cache import get_conditional_response, patch_vary_headers
from pydantic_core import to_json

from a2a_app import conf, protocol
from a2a_app.agents import Agent
from a2a_app.agents.cards import agent_card
from a2a_app.bindings.calls import named_version
from a2a_app.bindings.v03 import card_with_03


def serve_card(request: HttpRequest, agent: Agent) -> HttpResponseBase:
    """Answer with an agent's card, or with 304 where the client has it already."""
    body = card_json(request, agent_card(agent, interfaces(request, agent))).encode()
    etag = f'"{sha256(body).hexdigest()[:32]}"'
    response = HttpResponse(body, content_type="application/json")
    response = cast("HttpResponse", get_conditional_response(request, etag=etag, response=response))
    response["ETag"] = etag
    response["Cache-Control"] = f"public, max-age={conf.current().card_max_age}"
    patch_vary_headers(response, [protocol.VERSION_HEADER])
    return response


def card_json(request: HttpRequest, card: protocol.AgentCard) -> str:
    """Write a card for whoever asks: with what 0.3 reads, unless 1.0 alone is wanted."""
    given = named_version(request)
    only = given and protocol.requested_version(given) == protocol.VERSION
    if only or protocol.VERSION_03 not in conf.current().protocol_versions:
        return card.to_json()
    return to_json(card_with_03(card.to_dict())).decode()


def interfaces(request: HttpRequest, agent: Agent) -> list[protocol.AgentInterface]:
    """Say where an agent is reached, in each version and by each binding."""
    # Clients of HTTP+JSON put a path after theirs, and not all of them mind a double slash.
    urls = {"JSONRPC": "a2a:jsonrpc", "HTTP+JSON": "a2a:jsonrpc_without_slash"}
    return [
        protocol.AgentInterface(
            url=public_url(request, reverse(name, args=[agent.slug])),
            protocol_binding=binding,
            protocol_version=version,
        )
        for version in conf.current().protocol_versions
        for binding, name in urls.items()
    ]


def public_url(request: HttpRequest, path: str) -> str:
    """Give the absolute URL that clients reach a path by: PUBLIC_URL first, else the request's."""
    base = conf.current().public_url.rstrip("/")
    return f"{base}{path}" if base else request.build_absolute_uri(path)
