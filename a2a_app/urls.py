"""URLs: `path("", include("a2a_app.urls"))`, at the root for the well-known card."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.db import connections, transaction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, include, path

from a2a_app.bindings.api import PAGES, api

View = Callable[..., Any]


def _open(pattern: URLPattern) -> URLPattern:
    """Keep Django's ways with pages from a view for programs.

    ATOMIC_REQUESTS cannot wrap an asynchronous view, and a redirect to a login page would be
    taken for an answer.
    """
    view: View = pattern.callback

    @wraps(view)
    async def exempt(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response: HttpResponseBase = await view(request, *args, **kwargs)
        return response

    for alias in connections:
        transaction.non_atomic_requests(using=alias)(exempt)
    pattern.callback = login_not_required(exempt)
    return pattern


# Not called app_name: Django would take that for a namespace around ours.
_patterns, _app, _namespace = api.urls
# Without ninja's view of "/", which answers 404: that page is the project's.
_views = [p for p in _patterns if isinstance(p, URLPattern) and p.name != "api-root"]
_opened = ([p if p.name in PAGES else _open(p) for p in _views], _app)
urlpatterns = [path("", include(_opened, namespace=_namespace))]
