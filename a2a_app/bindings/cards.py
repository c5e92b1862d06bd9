"""Cards over HTTP (sections 8.2 and 8.6)."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from a2a_app import conf, protocol
from a2a_app.agents import Agent, registry
from a2a_app.agents.cards import Served, card_for
from a2a_app.bindings.caching import private_answer, public_answer
from a2a_app.bindings.callers import identity_of
from a2a_app.bindings.security import declared_security


async def serve_card(request: HttpRequest, agent: Agent) -> HttpResponseBase:
    """Answer with an agent's card, or with 304 where the client has it already."""
    served = served_by(request, agent)
    if agent.has_card_of_callers:
        card = await card_for(agent, served, await identity_of(request))
        return private_answer(request, card.to_json())
    card = await card_for(agent, served, None)
    return public_answer(request, card.to_json(), changed_at=registry.changed_at)


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
