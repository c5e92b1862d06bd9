"""Cards over HTTP (sections 8.2 and 8.6)."""

import json
from hashlib import sha256
from typing import cast

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.http import http_date

from a2a_app import conf, protocol
from a2a_app.agents import Agent, registry
from a2a_app.agents.cards import card_for
from a2a_app.bindings.callers import identity_of
from a2a_app.bindings.calls import named_version
from a2a_app.bindings.interfaces import base_url, served_by
from a2a_app.bindings.security import declared_security
from a2a_app.bindings.tenants import resolve
from a2a_app.bindings.v03 import card_with_03


def public_answer(
    request: HttpRequest, body: str, *, changed_at: float, same_as: str = ""
) -> HttpResponse:
    """Answer with JSON that is the same for everybody, or with 304 where the client has it.

    Args:
        request: May name what the client has, by If-None-Match or by If-Modified-Since.
        body: The JSON.
        changed_at: The moment, in seconds, since when it has been so.
        same_as: What all bodies that say this have in common; empty: the body itself.
    """
    max_age = conf.current().card_max_age
    response = _conditional(
        request, body, same_as, f"public, max-age={max_age}", last_modified=int(changed_at)
    )
    # Pages of any site may read what anybody may read.
    response["Access-Control-Allow-Origin"] = "*"
    response["Access-Control-Expose-Headers"] = "ETag"
    return response


def private_answer(request: HttpRequest, body: str, *, same_as: str = "") -> HttpResponse:
    """Answer with JSON that is for this caller only, or with 304 where the client has it.

    Each use must ask again: what it depends on besides the caller, nobody knows.
    """
    response = _conditional(request, body, same_as, "private, max-age=0, must-revalidate")
    patch_vary_headers(response, declared_security().headers)
    return response


def _conditional(
    request: HttpRequest,
    body: str,
    same_as: str,
    cache_control: str,
    last_modified: int | None = None,
) -> HttpResponse:
    # Weak: it stands for what is said, which two processes may say in different bytes.
    etag = f'W/"{sha256((same_as or body).encode()).hexdigest()[:32]}"'
    response = HttpResponse(body, content_type="application/json")
    response["ETag"] = etag
    response["Cache-Control"] = cache_control
    if last_modified is not None:
        response["Last-Modified"] = http_date(last_modified)
    # Gives nothing else: these are answers to GET and HEAD.
    return cast("HttpResponse", get_conditional_response(request, etag, last_modified, response))


async def serve_card(request: HttpRequest, agent: Agent) -> HttpResponseBase:
    """Answer with an agent's card, or with 304 where the client has it already."""
    caller = await identity_of(request) if agent.has_card_of_callers else None
    card = await card_for(agent, served_by(request, agent), caller)
    return _answer(request, card, is_private=agent.has_card_of_callers)


async def serve_tenant_card(request: HttpRequest, agent: Agent, tenant: str) -> HttpResponseBase:
    """Answer with the card of who answers for a tenant at an agent's URL, as `serve_card` does.

    Raises Http404 where the project's resolver knows no such tenant, or none of this caller's.
    """
    if not conf.current().tenant_resolver:
        raise Http404("There are no tenants here.")
    caller = await identity_of(request)
    try:
        named = protocol.Params.from_dict({"tenant": tenant}).tenant
        answering, _ = await resolve(request, agent, named, caller)
    except protocol.InvalidParamsError as error:
        raise Http404(error.message) from None
    card = await card_for(answering, served_by(request, agent, tenant), caller)
    # What the resolver goes by, nobody else knows.
    return _answer(request, card, is_private=True)


def _answer(
    request: HttpRequest, card: protocol.AgentCard, *, is_private: bool
) -> HttpResponseBase:
    body, same = card_json(request, card), card_json(request, _signed_content(card))
    if is_private:
        response = private_answer(request, body, same_as=same)
    else:
        response = public_answer(request, body, same_as=same, changed_at=registry.changed_at)
    patch_vary_headers(response, [protocol.VERSION_HEADER])
    return response


def card_json(request: HttpRequest, card: protocol.AgentCard) -> str:
    """Write a card for whoever asks: with what 0.3 reads, unless 1.0 alone is wanted."""
    given = named_version(request)
    only = given and protocol.requested_version(given) == protocol.VERSION
    if only or protocol.VERSION_03 not in conf.current().protocol_versions:
        return card.to_json()
    return json.dumps(card_with_03(card.to_dict()), ensure_ascii=False)


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


def _signed_content(card: protocol.AgentCard) -> protocol.AgentCard:
    """Give what signatures of a card cover, and by which keys: two processes sign differently."""
    same = [each.model_copy(update={"signature": ""}) for each in card.signatures]
    return card.model_copy(update={"signatures": same})
