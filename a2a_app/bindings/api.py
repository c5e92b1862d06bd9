"""The django-ninja API: which URL leads to which binding."""

from collections.abc import Callable
from typing import Any

from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from ninja import NinjaAPI
from ninja.params.functions import Path
from ninja.utils import contribute_operation_args

from a2a_app import runners
from a2a_app.agents import Agent, AgentNotFoundError, registry
from a2a_app.bindings import jsonrpc, rest
from a2a_app.bindings.cards import serve_card
from a2a_app.bindings.routes import ROUTES, TENANT_ROUTES, Route

api = NinjaAPI(
    title="Agent2Agent",
    urls_namespace="a2a",
    docs_url=None,
    openapi_url=None,
)


# Both with the last slash and without: a redirect would make a GET of a POST.
@api.post("/a2a/{slug}", url_name="jsonrpc_without_slash", include_in_schema=False)
@api.post("/a2a/{slug}/", url_name="jsonrpc")
async def serve_jsonrpc(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Answer a JSON-RPC request to an agent (section 9)."""
    return await jsonrpc.serve(request, await _begin(slug))


@api.get("/a2a/{slug}/.well-known/agent-card.json", url_name="agent_card")
async def serve_agent_card(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Give an agent's card (section 8.2)."""
    return serve_card(request, _find(slug))


@api.get("/.well-known/agent-card.json", url_name="site_card")
async def serve_site_card(request: HttpRequest) -> HttpResponseBase:
    """Give the card of the site's agent (section 8.2)."""
    try:
        return serve_card(request, registry.default())
    except AgentNotFoundError as error:
        raise Http404(str(error)) from None


def _serve_route(route: Route) -> Callable[..., Any]:
    async def serve_route(request: HttpRequest, slug: str, **fields: str) -> HttpResponseBase:
        return await rest.serve(request, await _begin(slug), route, fields)

    for field in route.fields:
        contribute_operation_args(serve_route, field, str, Path(...))
    return serve_route


for _route in (*ROUTES, *TENANT_ROUTES):
    api.api_operation(
        list(_route.methods), "/a2a/{slug}" + _route.path, url_name=_route.operation.name
    )(_serve_route(_route))


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
