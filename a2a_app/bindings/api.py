"""The django-ninja API: which URL leads to which binding."""

from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from ninja import NinjaAPI

from a2a_app import runners
from a2a_app.agents import Agent, AgentNotFoundError, registry
from a2a_app.bindings import jsonrpc
from a2a_app.bindings.cards import serve_card, serve_catalogue, serve_keys

READ = ["GET", "HEAD"]

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
    agent = _find(slug)
    await runners.current().begin()
    return await jsonrpc.serve(request, agent)


@api.api_operation(READ, "/a2a/{slug}/.well-known/agent-card.json", url_name="agent_card")
async def serve_agent_card(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Give an agent's card (section 8.2)."""
    return await serve_card(request, _find(slug))


@api.api_operation(READ, "/.well-known/agent-card.json", url_name="site_card")
async def serve_site_card(request: HttpRequest) -> HttpResponseBase:
    """Give the card of the site's agent (section 8.2)."""
    try:
        return await serve_card(request, registry.default())
    except AgentNotFoundError as error:
        raise Http404(str(error)) from None


@api.api_operation(READ, "/a2a/", url_name="catalogue")
async def give_catalogue(request: HttpRequest) -> HttpResponseBase:
    """List all agents, each with where its card is."""
    return serve_catalogue(request)


@api.api_operation(READ, "/.well-known/jwks.json", url_name="jwks")
async def give_keys(request: HttpRequest) -> HttpResponseBase:
    """Give the keys that signatures of cards are checked with (section 8.4.2)."""
    return serve_keys(request)


def _find(slug: str) -> Agent:
    try:
        return registry.get(slug)
    except AgentNotFoundError:
        raise Http404(f"There is no agent {slug!r}.") from None
