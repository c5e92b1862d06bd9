"""Middleware: a way past the project's own, for requests that are not from people.

Django runs the parts of each of its own middleware in a thread, before the view and after it, and
programs with API keys need neither sessions nor messages nor a check against forged forms.
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

# To find the view of a path takes Django as long as it takes us to read a request.
KEPT = 256
_known: dict[tuple[URLResolver, str], ResolverMatch] = {}


@sync_and_async_middleware
def bypass(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Lead what agents and their clients ask straight to the view, past all middleware below this.

    Put it into MIDDLEWARE below whatever such requests need too, and above
    `AuthenticationMiddleware` only where no authenticator in A2A['AUTHENTICATION'] asks for the
    session. Under WSGI nothing is bypassed.
    """
    if not iscoroutinefunction(get_response):
        return get_response
    onward: Callable[[HttpRequest], Awaitable[HttpResponseBase]] = get_response

    async def middleware(request: HttpRequest) -> HttpResponseBase:
        match = _match(request.path_info)
        if match is None:
            return await onward(request)
        request.resolver_match = match
        response: HttpResponseBase = await match.func(request, *match.args, **match.kwargs)
        if isinstance(response, HttpResponse) and not response.has_header("Content-Length"):
            # CommonMiddleware does so for others: without it the body goes out in chunks.
            response["Content-Length"] = str(len(response.content))
        return response

    return middleware


def _match(path: str) -> ResolverMatch | None:
    """Find our view of a path; None for the project's, and for our page that people look at."""
    if not may_be_ours(path):
        return None
    resolver = get_resolver(get_urlconf())
    known = _known.get((resolver, path))
    if known is not None:
        return known
    try:
        match = resolver.resolve(path)
    except Resolver404:
        return None
    if match.namespaces[-1:] != [api.urls_namespace] or match.url_name in api.pages:
        return None
    if _says_no_more_than_agent(match) and len(_known) < KEPT:
        _known[resolver, path] = match
    return match


def _says_no_more_than_agent(match: ResolverMatch) -> bool:
    """Tell whether a path is one of the few that an agent's clients use again and again.

    One that has more in it, such as a task, seldom comes twice; and what the project reads there,
    such as a customer, may be another the next moment.
    """
    return match.kwargs.keys() == {"slug"} and match.kwargs["slug"] in registry.slugs()
