"""Agent cards over HTTP (sections 8.2 and 8.6)."""

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
from a2a_app.agents.catalog import MEDIA_TYPE, RELATIONS
from a2a_app.bindings.callers import grant_of
from a2a_app.bindings.calls import named_version
from a2a_app.bindings.interfaces import base_url, served_to
from a2a_app.bindings.security import declared_security
from a2a_app.bindings.tenants import resolve
from a2a_app.bindings.v03 import card_with_03


def public_response(
    request: HttpRequest, body: str, *, changed_at: float | None = None, same_as: str = ""
) -> HttpResponse:
    """Return JSON that is the same for everybody, or 304 if the client has it already.

    Args:
        request: The request, which may name a version that the client has, by If-None-Match or by
            If-Modified-Since.
        body: The JSON.
        changed_at: When it last changed, in seconds since the epoch. None: nobody knows.
        same_as: A text that is equal for all bodies with the same meaning; empty for the body
            itself.
    """
    max_age = conf.current().card_max_age
    changed = None if changed_at is None else int(changed_at)
    response = _conditional(
        request, body, same_as, f"public, max-age={max_age}", last_modified=changed
    )
    # Everybody may read it, and so may the scripts of any site.
    response["Access-Control-Allow-Origin"] = "*"
    response["Access-Control-Expose-Headers"] = "ETag"
    return response


def private_response(request: HttpRequest, body: str, *, same_as: str = "") -> HttpResponse:
    """Return JSON that is for this caller only, or 304 if the client has it already.

    The client must ask again before each use, since it is unknown what else the JSON depends on.
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
    # Weak, because two processes may write the same card in different bytes.
    etag = f'W/"{sha256((same_as or body).encode()).hexdigest()[:32]}"'
    response = HttpResponse(body, content_type="application/json")
    response["ETag"] = etag
    response["Cache-Control"] = cache_control
    if last_modified is not None:
        response["Last-Modified"] = http_date(last_modified)
    # For GET and HEAD it returns one of these two, and never None.
    return cast("HttpResponse", get_conditional_response(request, etag, last_modified, response))


async def serve_card(request: HttpRequest, agent: Agent) -> HttpResponseBase:
    """Return an agent's card, or 304 if the client has it already."""
    grant = await grant_of(request) if agent.has_card_for_caller else None
    caller = grant and grant.identity
    card = await card_for(agent, served_to(request, agent), caller)
    return _card_response(request, card, is_private=agent.has_card_for_caller or agent.hidden)


async def serve_tenant_card(request: HttpRequest, agent: Agent, tenant: str) -> HttpResponseBase:
    """Return the card of the agent that answers for a tenant at an agent's URL.

    Raises:
        Http404: The project's resolver knows no such tenant, or not for this caller.
    """
    grant = await grant_of(request)
    if not conf.current().tenant_resolver and not (grant and grant.tenants):
        raise Http404("There are no tenants here.")
    caller = grant and grant.identity
    try:
        checked = protocol.Params.from_dict({"tenant": tenant}).tenant
        tenant_agent, _ = await resolve(request, agent, checked, grant)
    except protocol.InvalidParamsError as error:
        raise Http404(error.message) from None
    card = await card_for(tenant_agent, served_to(request, agent, tenant), caller)
    # Private, because it is unknown what the resolver depends on.
    return _card_response(request, card, is_private=True)


def _card_response(
    request: HttpRequest, card: protocol.AgentCard, *, is_private: bool
) -> HttpResponseBase:
    body = card_json(request, card)
    same_as = card_json(request, _without_signatures(card))
    if is_private:
        response = private_response(request, body, same_as=same_as)
    else:
        response = public_response(request, body, same_as=same_as, changed_at=registry.changed_at)
    patch_vary_headers(response, [protocol.VERSION_HEADER])
    return link_to_catalog(request, response)


def link_to_catalog(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Return a response with links to the catalog of the site's agents (AI Catalog; RFC 8288)."""
    base = base_url(request)
    response["Link"] = ", ".join(
        f'<{base}{reverse(name)}>; rel="{relation}"; type="{MEDIA_TYPE}"'
        for relation, name in RELATIONS.items()
    )
    return response


def card_json(request: HttpRequest, card: protocol.AgentCard) -> str:
    """Return a card as JSON, for clients of 0.3 too unless the request names a later version."""
    is_newer = named_version(request) in (protocol.VERSION, protocol.VERSION_11)
    if is_newer or protocol.VERSION_03 not in conf.current().protocol_versions:
        return card.to_json()
    return json.dumps(card_with_03(card.to_dict()), ensure_ascii=False)


def serve_keys(request: HttpRequest) -> HttpResponseBase:
    """Return the public keys of the signatures of cards, as a JWK Set (RFC 7517).

    Raises:
        Http404: Cards are not signed here.
    """
    if not conf.current().signing_key:
        raise Http404("Cards are not signed here.")
    # Imported here, because its libraries come with the extra `signing`.
    from a2a_app.agents import signing

    body = json.dumps({"keys": [signing.signing_key().public]})
    return public_response(request, body, changed_at=registry.changed_at)


def _without_signatures(card: protocol.AgentCard) -> protocol.AgentCard:
    """Return a card with the keys of its signatures only, since each process signs differently."""
    signatures = [each.model_copy(update={"signature": ""}) for each in card.signatures]
    return card.model_copy(update={"signatures": signatures})
