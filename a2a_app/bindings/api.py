"""The URLs of the app, and the binding that serves each."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.core.handlers.wsgi import WSGIRequest
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase

import a2a_app
from a2a_app import conf, protocol, runners
from a2a_app.agents import Agent, AgentNotFoundError, registry
from a2a_app.agents.registry import NO_DEFAULT
from a2a_app.bindings import ard, jsonrpc, rest
from a2a_app.bindings.callers import sees, viewer_of, visible_agent
from a2a_app.bindings.cards import serve_card, serve_keys, serve_tenant_card
from a2a_app.bindings.catalog import serve_ai_catalog, serve_catalogue, serve_did
from a2a_app.bindings.files import serve_file
from a2a_app.bindings.health import serve_live, serve_ready
from a2a_app.bindings.metrics import serve_metrics
from a2a_app.bindings.ninja_api import Api
from a2a_app.bindings.openapi import describe_file, describe_jsonrpc, describe_route, introduction
from a2a_app.bindings.remote_tasks import serve_notification
from a2a_app.bindings.routes import ROUTES, ROUTES_03, TENANT, TENANT_ROUTES, Route
from a2a_app.bindings.unserved import wants_page
from a2a_app.bindings.wsgi import do_on_lasting_loop

api = Api(
    title="Agent2Agent",
    version=a2a_app.__version__,
    description=introduction(),
    urls_namespace="a2a",
    # No agent has these URLs, since a slug has no dots.
    docs_url="/a2a/openapi.html",
    openapi_url="/a2a/openapi.json",
)

# Each of our URLs contains one of these.
_FOLDERS = ("/a2a/", "/.well-known/")


def may_be_ours(path: str) -> bool:
    """Tell whether a path may be one of ours; if not, it need not be resolved."""
    return any(folder in path for folder in _FOLDERS)


# Above the agents, whose URLs have this form. Few sites have it, so it is not in the description.
@api.add_page("/a2a/metrics.txt", "metrics", include_in_schema=False)
async def serve_figures(request: HttpRequest) -> HttpResponseBase:
    """Answer with the site's figures, for Prometheus."""
    return await serve_metrics(request)


# With and without the last slash, because a redirect would turn a POST into a GET.
@api.post("/a2a/{slug}", url_name="jsonrpc_without_slash", include_in_schema=False)
@api.post(
    "/a2a/{slug}/",
    url_name="jsonrpc",
    operation_id="JSONRPC",
    tags=["JSON-RPC"],
    openapi_extra=describe_jsonrpc(),
)
async def serve_jsonrpc(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Answer a JSON-RPC request to an agent (section 9)."""
    return await jsonrpc.serve(request, await begun_agent(request, slug))


@api.add_page(
    "/a2a/{slug}/.well-known/agent-card.json",
    "agent_card",
    is_public=True,
    summary="The card of an agent",
    tags=["Cards"],
)
async def serve_agent_card(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Return an agent's card (section 8.2)."""
    return await serve_card(request, await visible_agent(request, slug))


@api.add_page(
    f"/a2a/{{slug}}{TENANT}/.well-known/agent-card.json",
    "tenant_card",
    include_in_schema=False,
)
async def serve_agent_card_of_tenant(
    request: HttpRequest, slug: str, tenant: str
) -> HttpResponseBase:
    """Return the card of the agent that answers for a tenant at an agent's URL (section 4.4.6)."""
    return await serve_tenant_card(request, await visible_agent(request, slug), tenant)


@api.add_page(
    "/.well-known/agent-card.json",
    "site_card",
    is_public=True,
    summary="The card of the site's agent",
    tags=["Cards"],
)
async def serve_site_card(request: HttpRequest) -> HttpResponseBase:
    """Return the card of the site's agent (section 8.2)."""
    try:
        agent = registry.default()
        if not await sees(await viewer_of(request), agent):
            raise AgentNotFoundError(NO_DEFAULT)
        return await serve_card(request, agent)
    except AgentNotFoundError as error:
        raise Http404(str(error)) from None


@api.add_page(
    "/a2a/", "catalogue", is_public=True, summary="All agents, and their cards", tags=["Cards"]
)
async def serve_catalogue_of_agents(request: HttpRequest) -> HttpResponseBase:
    """List all agents, each with the URL of its card; a browser gets a page."""
    if api.catalogue_page is not None and wants_page(request):
        return await api.catalogue_page(request)
    return await serve_catalogue(request)


@api.add_page(
    "/.well-known/ai-catalog.json",
    "ai_catalog",
    is_public=True,
    summary="All agents, as an AI Catalog",
    tags=["Cards"],
)
@api.add_page("/.well-known/ard.json", "ard", is_public=True, include_in_schema=False)
async def serve_catalog_of_site(request: HttpRequest) -> HttpResponseBase:
    """Return the AI Catalog of the site's agents, which is one of ARD too."""
    return await serve_ai_catalog(request)


@api.add_page("/a2a/health/live", "live", summary="Whether the process answers", tags=["Health"])
async def serve_health_live(request: HttpRequest) -> HttpResponseBase:
    """Answer 200, for whoever restarts processes that do not answer."""
    return await serve_live(request)


@api.add_page(
    "/a2a/health/ready", "ready", summary="Whether the process can serve", tags=["Health"]
)
async def serve_health_ready(request: HttpRequest) -> HttpResponseBase:
    """Answer 200 or 503, for whoever sends requests to processes that can serve."""
    return await serve_ready(request)


@api.add_page(
    "/.well-known/jwks.json",
    "jwks",
    is_public=True,
    summary="The keys that sign the cards",
    tags=["Cards"],
)
async def serve_card_keys(request: HttpRequest) -> HttpResponseBase:
    """Return the public keys of the signatures of cards (section 8.4.2)."""
    return serve_keys(request)


@api.post("/a2a/ard.api/search", url_name="ard_search", include_in_schema=False)
async def search_agents(request: HttpRequest) -> HttpResponseBase:
    """Return the agents that fit a query (ARD, section 5.3.2)."""
    return await ard.answered(request, ard.search)


@api.post("/a2a/ard.api/explore", url_name="ard_explore", include_in_schema=False)
async def explore_agents(request: HttpRequest) -> HttpResponseBase:
    """Refuse to count agents (ARD, section 5.3.3)."""
    return await ard.answered(request, ard.explore)


@api.add_page(
    "/a2a/ard.api/agents",
    "ard_agents",
    is_public=True,
    summary="All agents, by pages",
    tags=["Search"],
)
async def list_agents(request: HttpRequest) -> HttpResponseBase:
    """Return all agents (ARD, section 5.3.5)."""
    return await ard.answered(request, ard.list_entries)


@api.add_page(
    "/a2a/ard.api/agents/{path:identifier}",
    "ard_agent",
    is_public=True,
    summary="One agent",
    tags=["Search"],
)
async def find_listed_agent(request: HttpRequest, identifier: str) -> HttpResponseBase:
    """Return one agent by its identifier (ARD, section 5.3.4)."""
    return await ard.answered(request, lambda asked: ard.find_entry(asked, identifier))


@api.add_page(
    "/.well-known/did.json",
    "did",
    is_public=True,
    summary="The key that signs the AI Catalog",
    tags=["Cards"],
)
async def serve_did_of_site(request: HttpRequest) -> HttpResponseBase:
    """Return the document of the site's DID, which the AI Catalog is signed by."""
    return serve_did(request)


@api.add_page(
    "/a2a/files/{a2a_link:token}",
    "file",
    summary="A file of the caller's",
    tags=["Files"],
    openapi_extra=describe_file(),
)
async def serve_linked_file(request: HttpRequest, token: str) -> HttpResponseBase:
    """Return the bytes of a part that are too large to be sent in it, from the part's URL."""
    return await serve_file(request, token)


@api.post("/a2a/remote-tasks/{uuid:asked}", url_name="remote_task", include_in_schema=False)
async def take_notification(request: HttpRequest, asked: UUID) -> HttpResponseBase:
    """Take the notification of an agent elsewhere that a turn has asked."""
    return await serve_notification(request, asked)


@api.add_page(
    "/a2a/{slug}/.well-known/agent.json",
    "old_agent_card",
    is_public=True,
    include_in_schema=False,
)
async def serve_old_agent_card(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Return an agent's card at the URL where clients of 0.3 may still look for it."""
    _check_03_is_served()
    return await serve_agent_card(request, slug)


@api.add_page("/.well-known/agent.json", "old_site_card", is_public=True, include_in_schema=False)
async def serve_old_site_card(request: HttpRequest) -> HttpResponseBase:
    """Return the card of the site's agent at the URL where clients of 0.3 may look for it."""
    _check_03_is_served()
    return await serve_site_card(request)


def _serve_route(route: Route) -> Callable[..., Any]:
    is_of_03 = route.version == protocol.VERSION_03

    async def serve_route(request: HttpRequest, slug: str, **fields: str) -> HttpResponseBase:
        if is_of_03:
            _check_03_is_served()
        return await rest.serve(request, await begun_agent(request, slug), route, fields)

    return serve_route


def _add_route(route: Route, **options: Any) -> None:
    prefix = "" if route.version == protocol.VERSION else f"{route.version}-"
    options["url_name"] = prefix + route.method.name
    view = _serve_route(route)
    api.add_route(route.verb, "/a2a/{slug}" + route.path, view, route.fields, **options)


for _route in ROUTES:
    # An operation's id is unique, and subscribing has two verbs.
    _suffix = "ByGet" if _route.method.operation.streaming and _route.verb == "GET" else ""
    _add_route(
        _route,
        operation_id=_route.method.name + _suffix,
        tags=["HTTP+JSON"],
        openapi_extra=describe_route(_route),
    )
for _route in (*ROUTES_03, *TENANT_ROUTES):
    _add_route(_route, include_in_schema=False)


def _check_03_is_served() -> None:
    if protocol.VERSION_03 not in conf.current().protocol_versions:
        raise Http404("A2A['PROTOCOL_VERSIONS'] does not have 0.3.")


async def begun_agent(request: HttpRequest, slug: str) -> Agent:
    """Return the agent of a URL, and let the runner begin its background work."""
    agent = await visible_agent(request, slug)
    begin = runners.current().begin()
    await (do_on_lasting_loop(begin) if isinstance(request, WSGIRequest) else begin)
    return agent
