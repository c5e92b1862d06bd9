"""Cards over HTTP (sections 8.2 and 8.6)."""

import json

from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from a2a_app import conf, protocol
from a2a_app.agents import Agent, registry
from a2a_app.agents.cards import card_for
from a2a_app.bindings.caching import private_answer, public_answer
from a2a_app.bindings.callers import identity_of
from a2a_app.bindings.interfaces import base_url, served_by


async def serve_card(request: HttpRequest, agent: Agent) -> HttpResponseBase:
    """Answer with an agent's card, or with 304 where the client has it already."""
    served = served_by(request, agent)
    caller = await identity_of(request) if agent.has_card_of_callers else None
    card = await card_for(agent, served, caller)
    body, same = card.to_json(), _signed_content(card)
    if agent.has_card_of_callers:
        return private_answer(request, body, same_as=same)
    return public_answer(request, body, same_as=same, changed_at=registry.changed_at)


def serve_catalogue(request: HttpRequest) -> HttpResponseBase:
    """Answer with where the card of each agent is (section 8.2)."""
    base = base_url(request)
    agents = [
        {
            "name": agent.name,
            "description": agent.description,
            "cardUrl": base + reverse("a2a:agent_card", args=[agent.slug]),
        }
        for agent in registry
    ]
    body = json.dumps({"agents": agents}, ensure_ascii=False)
    return public_answer(request, body, changed_at=registry.changed_at)


def serve_keys(request: HttpRequest) -> HttpResponseBase:
    """Answer with the public keys that signatures of cards are checked with (RFC 7517).

    Raises Http404 where cards are not signed.
    """
    if not conf.current().signing_key:
        raise Http404("Cards are not signed here.")
    from a2a_app.agents import signing  # loaded here: its libraries come with the extra `signing`

    body = json.dumps({"keys": [signing.signing_key().public]})
    return public_answer(request, body, changed_at=registry.changed_at)


def _signed_content(card: protocol.AgentCard) -> str:
    """Give what signatures of a card cover, and by which keys: two processes sign differently."""
    same = [each.model_copy(update={"signature": ""}) for each in card.signatures]
    return card.model_copy(update={"signatures": same}).to_json()
