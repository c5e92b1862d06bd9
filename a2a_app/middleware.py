"""Middleware: a bypass of the project's other middleware, for requests of programs.

Django runs each of its own middleware in a thread, once before the view and once after it. Programs
with API keys need neither sessions nor messages nor a protection against cross-site requests.
"""

from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, ResolverMatch, URLResolver, get_resolver, get_urlconf
from django.utils.decorators import sync_and_async_middleware

from a2a_app.agents import registry
from a2a_app.bindings.api import api, may_be_ours

# How many paths are cached with their views. To find a view takes Django as long as it takes us to
# read a request.
CACHE_SIZE = 256
_cache: dict[tuple[URLResolver, str], ResolverMatch] = {}


@sync_and_async_middleware
def bypass(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Take requests for agents straight to their views, past all middleware below this one.

    Put it into MIDDLEWARE below the middleware that such requests need too. If an authenticator in
    A2A['AUTHENTICATION'] asks for the session, that includes `AuthenticationMiddleware`. Under WSGI
    nothing is bypassed.
    """
    if not iscoroutinefunction(get_response):
        return get_response
    call_next: Callable[[HttpRequest], Awaitable[HttpResponseBase]] = get_response

    async def middleware(request: HttpRequest) -> HttpResponseBase:
        match = _match(request.path_info)
        if match is None:
            return await call_next(request)
        request.resolver_match = match
        response: HttpResponseBase = await match.func(request, *match.args, **match.kwargs)
        if isinstance(response, HttpResponse) and not response.has_header("Content-Length"):
            # As CommonMiddleware does for other responses. Without it the body is sent in chunks.
            response["Content-Length"] = str(len(response.content))
        return response

    return middleware


def _match(path: str) -> ResolverMatch | None:
    """Find the app's view of a path; None for views of the project, and for pages for people."""
    if not may_be_ours(path):
        return None
    resolver = get_resolver(get_urlconf())
    cached = _cache.get((resolver, path))
    if cached is not None:
        return cached
    try:
        match = resolver.resolve(path)
    except Resolver404:
        return None
    if match.namespaces[-1:] != [api.urls_namespace] or match.url_name in api.pages:
        return None
    if _names_only_agent(match) and len(_cache) < CACHE_SIZE:
        _cache[resolver, path] = match
    return match


def _names_only_agent(match: ResolverMatch) -> bool:
    """Tell whether a path has nothing variable but an agent's slug, so that its match is cached.

    A path with more in it, such as a task, seldom comes twice. And if the project reads something
    from the path, such as a customer, that may be different the next moment.
    """
    return match.kwargs.keys() == {"slug"} and match.kwargs["slug"] in registry.slugs()
