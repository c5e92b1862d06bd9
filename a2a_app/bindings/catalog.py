"""Lists of the agents that a caller sees, over HTTP: the catalogue, and the AI Catalog."""

import json
from urllib.parse import urlsplit

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import NoReverseMatch, reverse
from django.utils.cache import patch_vary_headers

from a2a_app import conf, database, directory
from a2a_app.agents import Agent, registry
from a2a_app.agents.cards import unsigned_card_for
from a2a_app.agents.catalog import (
    MEDIA_TYPE,
    REGISTRY_TYPE,
    Json,
    catalog,
    domain_of,
    identifier_of,
    listing_of,
)
from a2a_app.bindings.callers import sees, viewer_of
from a2a_app.bindings.cards import (
    link_to_catalog,
    private_response,
    public_response,
)
from a2a_app.bindings.interfaces import base_url, served_to
from a2a_app.bindings.security import declared_security
from a2a_app.operations.call import Grant


async def serve_catalogue(request: HttpRequest) -> HttpResponseBase:
    """Return the list of the agents that a caller sees, each with its card's URL (section 8.2)."""
    base, viewer = base_url(request), await viewer_of(request)
    agents = [
        {
            "name": agent.name,
            "description": agent.description,
            "cardUrl": base + reverse("a2a:agent_card", args=[agent.slug]),
        }
        for agent in registry
        if await sees(viewer, agent)
    ]
    body = json.dumps({"agents": agents}, ensure_ascii=False)
    if registry.hidden:
        response = private_response(request, body)
    else:
        response = public_response(request, body, changed_at=registry.changed_at)
    # The same URL shows a browser a page.
    patch_vary_headers(response, ["Accept"])
    return link_to_catalog(request, response)


async def serve_ai_catalog(request: HttpRequest) -> HttpResponseBase:
    """Return the AI Catalog of the agents that a caller sees (AI Catalog 0.9; ARD 0.91, 5.1)."""
    personal = is_personal(request)
    entries = await entries_for(request, is_personal=personal)
    made = catalog(base_url(request), [*entries, _registry_entry(request)])
    body = json.dumps(_signed(made), ensure_ascii=False)
    if personal:
        response = private_response(request, body, same_as=json.dumps(made))
    else:
        response = public_response(request, body, same_as=json.dumps(made))
        patch_vary_headers(response, declared_security().headers)
    response["Content-Type"] = MEDIA_TYPE
    return response


async def entries_for(request: HttpRequest, *, is_personal: bool) -> list[Json]:
    """Return the entries of all agents that there are for a caller: of this site, and elsewhere.

    Raises:
        AwayError: The database cannot say for now which there are elsewhere.
    """
    viewer = await viewer_of(request, always=is_personal)
    here = [
        entry
        for agent in registry
        if await sees(viewer, agent)
        for entry in await _entries(request, agent, viewer)
    ]
    elsewhere = await database.read(directory.listed)
    taken = {entry["identifier"] for entry in here}
    ours = registry_url(request) + "agents/"
    for key, identifier, listing in elsewhere:
        # Where its publisher has no name for it, or it is there twice, the name is one of ours.
        if not identifier or identifier in taken:
            identifier = f"{ours}{key.hex}"
        taken.add(identifier)
        here.append({"identifier": identifier, **listing})
    return here


def registry_url(request: HttpRequest) -> str:
    """Return the URL of the search among agents, which its operations are below (ARD, 5.3)."""
    return base_url(request) + reverse("a2a:ard_agents").removesuffix("agents")


def _registry_entry(request: HttpRequest) -> Json:
    base, url = base_url(request), registry_url(request)
    domain = domain_of(base)
    return {
        "identifier": f"urn:air:{domain}:registry:ard" if domain else url,
        "displayName": f"The agents of {domain or urlsplit(base).netloc}",
        "description": "A search among all agents that are listed here.",
        "type": REGISTRY_TYPE,
        "url": url,
    }


def is_personal(request: HttpRequest) -> bool:
    """Tell whether the catalog may be another one for another caller."""
    if any(agent.hidden or agent.has_card_for_caller for agent in registry):
        return True
    # Credentials may be for some tenants only, and nothing else says so.
    return any(request.headers.get(name) for name in declared_security().headers)


async def _entries(request: HttpRequest, agent: Agent, viewer: Grant | None) -> list[Json]:
    """Return the entries of an agent: one, or one for each tenant that the caller names itself.

    What a project's resolver makes of names cannot be listed, and so the caller gets the agent's
    own card.
    """
    identity = viewer and viewer.identity
    base = base_url(request)
    if viewer is None or viewer.tenants is None or conf.current().tenant_resolver:
        url = base + reverse("a2a:agent_card", args=[agent.slug])
        card = await unsigned_card_for(agent, served_to(request, agent), identity)
        return [{"identifier": identifier_of(base, agent.slug, url), **listing_of(card, url)}]
    entries = []
    for tenant in sorted(viewer.tenants):
        try:
            url = base + reverse("a2a:tenant_card", args=[agent.slug, tenant])
        except NoReverseMatch:  # a tenant that cannot stand in a path, such as `tasks`
            continue
        card = await unsigned_card_for(agent, served_to(request, agent, tenant), identity)
        # Nobody else has this card, so its URL is name enough.
        entries.append({"identifier": url, **listing_of(card, url)})
    return entries


def _signed(made: Json) -> Json:
    if not conf.current().signing_key:
        return made
    from a2a_app.agents import did  # loaded here: its libraries come with the extra `signing`

    return did.signed(made)


def serve_did(request: HttpRequest) -> HttpResponse:
    """Return the document of the site's DID, with the key that signs its catalog.

    Raises:
        Http404: The site has no DID.
    """
    if conf.current().signing_key:
        from a2a_app.agents import did  # as above

        if did.site_did():
            body = json.dumps(did.did_document())
            response = public_response(request, body, changed_at=registry.changed_at)
            response["Content-Type"] = "application/did+json"
            return response
    raise Http404("The site has no DID: nothing is signed, or not by a key and a URL that fit.")
