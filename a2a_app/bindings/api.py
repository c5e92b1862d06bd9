"""The django-ninja API: which URL leads to which binding."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from ninja.params.functions import Path
from ninja.utils import contribute_operation_args

import a2a_app
from a2a_app import conf, protocol, runners
from a2a_app.agents import Agent, AgentNotFoundError, registry
from a2a_app.bindings import jsonrpc, rest
from a2a_app.bindings.cards import serve_card, serve_catalogue, serve_keys, serve_tenant_card
from a2a_app.bindings.files import serve_file
from a2a_app.bindings.openapi import (
    Api,
    describe_file,
    describe_jsonrpc,
    describe_route,
    introduction,
)
from a2a_app.bindings.routes import ROUTES, ROUTES_03, TENANT, TENANT_ROUTES, Route

View = TypeVar("View", bound=Callable[..., Any])


def _if_shown(view: Callable[..., Any]) -> Callable[..., Any]:
    def shown(request: HttpRequest, **options: Any) -> Any:
        if not conf.current().api_docs:
            raise Http404("A2A['API_DOCS'] is off.")
        return view(request, **options)

    return shown


api = Api(
    title="Agent2Agent",
    version=a2a_app.__version__,
    description=introduction(),
    urls_namespace="a2a",
    # No agent has these URLs: there are no dots in a slug.
    docs_url="/a2a/openapi.html",
    openapi_url="/a2a/openapi.json",
    docs_decorator=_if_shown,
)


# The page about the API is for people: what the project asks of its pages, it asks of this one.
PAGES = ("openapi-view", "openapi-json")


# Each of our URLs has one of these in it.
_FOLDERS = ("/a2a/", "/.well-known/")


def may_be_ours(path: str) -> bool:
    """Tell whether a path may lead here; where it may not, nobody need look it up."""
    return any(folder in path for folder in _FOLDERS)


def _read(path: str, name: str, **shown: Any) -> Callable[[View], View]:
    """Serve a path by GET, and by HEAD, which needs no description of its own."""

    def add(view: View) -> View:
        api.api_operation(["HEAD"], path, url_name=name, include_in_schema=False)(view)
        api.get(path, url_name=name, **shown)(view)
        return view

    return add


# Both with the last slash and without: a redirect would make a GET of a POST.
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
    return await jsonrpc.serve(request, await _begin(slug))


@_read(
    "/a2a/{slug}/.well-known/agent-card.json",
    "agent_card",
    summary="The card of an agent",
    tags=["Cards"],
)
async def serve_agent_card(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Give an agent's card (section 8.2)."""
    return await serve_card(request, _find(slug))


@_read(
    f"/a2a/{{slug}}{TENANT}/.well-known/agent-card.json",
    "tenant_card",
    include_in_schema=False,
)
async def serve_agent_card_of_tenant(
    request: HttpRequest, slug: str, tenant: str
) -> HttpResponseBase:
    """Give the card of who answers for a tenant at an agent's URL (section 4.4.6)."""
    return await serve_tenant_card(request, _find(slug), tenant)


@_read(
    "/.well-known/agent-card.json",
    "site_card",
    summary="The card of the site's agent",
    tags=["Cards"],
)
async def serve_site_card(request: HttpRequest) -> HttpResponseBase:
    """Give the card of the site's agent (section 8.2)."""
    try:
        return await serve_card(request, registry.default())
    except AgentNotFoundError as error:
        raise Http404(str(error)) from None


@_read("/a2a/", "catalogue", summary="All agents, and their cards", tags=["Cards"])
async def give_catalogue(request: HttpRequest) -> HttpResponseBase:
    """List all agents, each with where its card is."""
    return serve_catalogue(request)


@_read(
    "/.well-known/jwks.json",
    "jwks",
    summary="The keys that sign the cards",
    tags=["Cards"],
)
async def give_keys(request: HttpRequest) -> HttpResponseBase:
    """Give the keys that signatures of cards are checked with (section 8.4.2)."""
    return serve_keys(request)


@_read(
    "/a2a/files/{a2a_link:token}",
    "file",
    summary="A file of the caller's",
    tags=["Files"],
    openapi_extra=describe_file(),
)
async def give_file(request: HttpRequest, token: str) -> HttpResponseBase:
    """Give the bytes of a part that is too large to hold them: what its URL leads to."""
    return await serve_file(request, token)


@_read(
    "/a2a/{slug}/.well-known/agent.json",
    "old_agent_card",
    include_in_schema=False,
)
async def serve_old_agent_card(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Give an agent's card, where clients of 0.3 may still look for it."""
    _check_old()
    return await serve_agent_card(request, slug)


@_read("/.well-known/agent.json", "old_site_card", include_in_schema=False)
async def serve_old_site_card(request: HttpRequest) -> HttpResponseBase:
    """Give the card of the site's agent, where clients of 0.3 may still look for it."""
    _check_old()
    return await serve_site_card(request)


def _serve_route(route: Route) -> Callable[..., Any]:
    is_old = route.version == protocol.VERSION_03

    async def serve_route(request: HttpRequest, slug: str, **fields: str) -> HttpResponseBase:
        if is_old:
            _check_old()
        return await rest.serve(request, await _begin(slug), route, fields)

    for field in route.fields:
        contribute_operation_args(serve_route, field, str, Path(...))
    return serve_route


def _add_route(route: Route, **options: Any) -> None:
    old = "" if route.version == protocol.VERSION else f"{route.version}-"
    name = old + route.method.name
    add = api.api_operation([route.verb], "/a2a/{slug}" + route.path, url_name=name, **options)
    add(_serve_route(route))


for _route in ROUTES:
    # An id names one verb of one path; subscribing has two.
    _by_get = "ByGet" if _route.method.operation.streaming and _route.verb == "GET" else ""
    _add_route(
        _route,
        operation_id=_route.method.name + _by_get,
        tags=["HTTP+JSON"],
        openapi_extra=describe_route(_route),
    )
for _route in (*ROUTES_03, *TENANT_ROUTES):
    _add_route(_route, include_in_schema=False)


def _check_old() -> None:
    if protocol.VERSION_03 not in conf.current().protocol_versions:
        raise Http404("A2A['PROTOCOL_VERSIONS'] does not have 0.3.")


async def _begin(slug: str) -> Agent:
    """Give the agent of a URL, and let the runner begin its background work."""
    agent = _find(slug)
    await runners.current().begin()
    return agent


def _find(slug: str) -> Agent:
    try:
        return registry.get(slug)
    except AgentNotFoundError:
        raise Http404(f"There is no agent {slug!r}.") from None
