"""The way in which this app uses django-ninja, all in one class.

django-ninja is used for three things: it finds the view for a verb and a path, it passes the fields
of the path to the view, and it serves a description of the API with a page that shows it. The rest
of a request is ours. Views read their request themselves, since the body is JSON of the protocol
and its errors have the protocol's form, and they return a complete response. So no view has a
schema of django-ninja's, and `openapi.py` writes the description of each.

Authenticators may be django-ninja's too. Of these `callers.py` knows the errors, and `security.py`
the way in which they describe themselves.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from django.contrib.auth.decorators import login_not_required
from django.db import InterfaceError, OperationalError, connections, transaction
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from ninja import NinjaAPI
from ninja.params.functions import Path
from ninja.utils import contribute_operation_args

from a2a_app import conf
from a2a_app.bindings.openapi import schemas
from a2a_app.bindings.unserved import (
    REFUSALS,
    nothing_here,
    refuse,
    refuse_while_away,
    with_all_verbs,
)
from a2a_app.protocol import A2AError

View = TypeVar("View", bound=Callable[..., Any])


class Api(NinjaAPI):
    """The URLs of the app, and their description."""

    pages = ("openapi-view", "openapi-json")
    """The names of the URLs that are for people, to which the project's own rules apply."""

    agent_pages = ("jsonrpc", "jsonrpc_without_slash")
    """The names of the URLs of agents, at which there is no GET for programs."""
    agent_page: Callable[..., Any] | None = None
    """What answers a browser at the URL of an agent: a view, which whoever serves pages sets."""
    catalogue_page: Callable[[HttpRequest], Awaitable[HttpResponseBase]] | None = None
    """What answers a browser at the URL of all agents, set in the same way."""

    def __init__(self, **options: Any) -> None:
        """Make an API without URLs; the options are those of NinjaAPI."""
        super().__init__(docs_decorator=_if_switched_on, **options)
        self._public: set[str] = set()
        for error in (Http404, *REFUSALS, A2AError):
            self.add_exception_handler(error, refuse)
        for away in (OperationalError, InterfaceError):
            self.add_exception_handler(away, refuse_while_away)

    def add_route(
        self, verb: str, path: str, view: Callable[..., Any], fields: list[str], **options: Any
    ) -> None:
        """Add a view that takes the fields of its path as `**fields`.

        Args:
            verb: The HTTP method.
            path: The template of the path.
            view: The view.
            fields: The names of those fields. django-ninja passes on no field that neither the
                view's signature nor this list has.
            **options: Options of django-ninja's `api_operation`.
        """
        for field in fields:
            contribute_operation_args(view, field, str, Path(...))
        self.api_operation([verb], path, **options)(view)

    def add_page(
        self, path: str, name: str, *, is_public: bool = False, **options: Any
    ) -> Callable[[View], View]:
        """Return a decorator that serves a path by GET and by HEAD.

        They are two operations, since django-ninja would describe HEAD as well.

        Args:
            path: The template of the path.
            name: The URL's name.
            is_public: Whether scripts of any site may read what the view answers.
            **options: Options of django-ninja's `get`.
        """
        if is_public:
            self._public.add(name)

        def add(view: View) -> View:
            self.api_operation(["HEAD"], path, url_name=name, include_in_schema=False)(view)
            self.get(path, url_name=name, **options)(view)
            return view

        return add

    @property
    def urls(self) -> tuple[list[Any], str, str]:
        """The URL patterns, their application's name and their namespace, for `include`.

        They lack django-ninja's view of "/", which answers 404, because that page is the project's.
        The last one takes all that is left below /a2a/.
        """
        patterns, app_name, namespace = super().urls
        ours = [each for each in patterns if getattr(each, "name", "") != "api-root"]
        for pattern in ours:
            if isinstance(pattern, URLPattern) and pattern.name not in self.pages:
                page = self.agent_page if pattern.name in self.agent_pages else None
                is_public = pattern.name in self._public
                pattern.callback = with_all_verbs(pattern.callback, page, is_public=is_public)
                exempt(pattern.callback)
        view: Any = with_all_verbs(nothing_here)  # Django's stubs know no asynchronous view
        last = path("a2a/<path:rest>", view, name="unserved")
        exempt(last.callback)
        return [*ours, last], app_name, namespace

    def get_root_path(self, path_params: dict[str, Any]) -> str:
        """Return the path that all others are below.

        django-ninja asks for the URL of its view of "/", which is not served here.
        """
        page = reverse(f"{self.urls_namespace}:openapi-view", kwargs=path_params)
        return page.removesuffix((self.docs_url or "").lstrip("/"))

    def get_openapi_schema(self, **options: Any) -> Any:
        """Return the description of the API, with the schemas of the protocol's objects."""
        description = super().get_openapi_schema(**options)
        description["components"]["schemas"].update(schemas())
        return description


def _if_switched_on(view: Callable[..., Any]) -> Callable[..., Any]:
    """Serve the description and its page only if the settings say so."""

    def switched(request: HttpRequest, **options: Any) -> Any:
        if not conf.current().api_docs:
            return refuse(request, Http404("A2A['API_DOCS'] is off."))
        return view(request, **options)

    return switched


def exempt(view: View) -> View:
    """Exempt a view for programs from two of a project's rules for its pages, and return it.

    ATOMIC_REQUESTS cannot wrap an asynchronous view. A client would take a redirect to a login page
    for the answer. (django-ninja itself exempts all views from the CSRF check of forms.)
    """
    for alias in connections:
        transaction.non_atomic_requests(using=alias)(view)
    return login_not_required(view)
