"""System checks of what is between the network and the app: servers, and other middleware."""

import re
from collections.abc import Iterable
from typing import Any

from django.conf import settings as django_settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.asgi import ASGIHandler
from django.urls import get_script_prefix, reverse
from django.utils.module_loading import import_string

from a2a_app import asgi, conf, cors
from a2a_app.agents import registry
from a2a_app.checks.project import BYPASS, TAG, Finding

CORS_MIDDLEWARE = "corsheaders.middleware.CorsMiddleware"
# Host and port, also with one of gRPC's own schemes, which are no URLs: dns:///example.com:443.
_DIALED = re.compile(r"(dns:(///)?|ipv4:|ipv6:)?(\[[0-9a-fA-F:]+\]|[^\s:/]+):[0-9]+")
# By the name of the class, since there are many packages of one kind.
_COMPRESSES = re.compile("gzip|compress|brotli|zstd", re.IGNORECASE)


@checks.register(TAG)
def check_compression(**_: object) -> list[Finding]:
    """Find middleware that compresses streams (a2a.W033), so that events do not come through."""
    compressing = [path for path in _not_bypassed() if _COMPRESSES.search(path.rpartition(".")[2])]
    return [
        checks.Warning(
            f"{path} compresses streams: clients get their events late, or only the first one.",
            hint=f"Put {BYPASS} above it.",
            id="a2a.W033",
        )
        for path in compressing
    ]


@checks.register(TAG)
def check_cors(**_: object) -> list[Finding]:
    """Find scripts in browsers that django-cors-headers keeps from the agents (a2a.W034)."""
    if CORS_MIDDLEWARE not in django_settings.MIDDLEWARE:
        return []
    if not re.match(getattr(django_settings, "CORS_URLS_REGEX", ""), "/a2a/"):
        return []  # the project means other URLs
    if CORS_MIDDLEWARE not in _not_bypassed():
        text = f"Requests for agents go past {CORS_MIDDLEWARE}, so browsers refuse the answers."
        return [checks.Warning(text, hint=f"Put {BYPASS} below it.", id="a2a.W034")]
    return [
        checks.Warning(
            f"{setting} lacks {', '.join(missing)}, so clients in browsers fail.",
            hint=f"Add a2a_app.cors.{name} to it.",
            id="a2a.W034",
        )
        for setting, name in (
            ("CORS_ALLOW_HEADERS", "ALLOW_HEADERS"),
            ("CORS_EXPOSE_HEADERS", "EXPOSE_HEADERS"),
        )
        if (missing := _missing(getattr(cors, name), getattr(django_settings, setting, ())))
    ]


@checks.register(TAG)
def check_there_is_an_asgi_application(**_: object) -> list[Finding]:
    """Find a project that is served by WSGI only, where nothing streams (a2a.W035)."""
    if getattr(django_settings, "ASGI_APPLICATION", None):
        return []
    return [
        checks.Warning(
            "There is no ASGI application. By WSGI agents answer, but nothing can be streamed.",
            hint="Set ASGI_APPLICATION to the path of an application that "
            "a2a_app.asgi.get_asgi_application has made, and for runserver put 'daphne' first in "
            "INSTALLED_APPS.",
            id="a2a.W035",
        )
    ]


@checks.register(TAG, deploy=True)
def check_asgi_application(**_: object) -> list[Finding]:
    """Find an ASGI application that does not tell the app when the server ends (a2a.W036)."""
    path = getattr(django_settings, "ASGI_APPLICATION", None)
    if not path:
        return []  # a2a.W035 reports it
    try:
        application = import_string(path)
    except Exception as error:  # whatever the project's module raises
        return [checks.Warning(f"ASGI_APPLICATION cannot be loaded: {error!r}", id="a2a.W036")]
    # That of Channels' ProtocolTypeRouter, by the kind of connection.
    applications: dict[str, Any] = getattr(application, "application_mapping", {"": application})
    if any(type(each) is ASGIHandler for each in applications.values()):
        text = "ASGI_APPLICATION is Django's own: turns under way are lost when the server ends."
        hint = "Import get_asgi_application from a2a_app.asgi, in place of django.core.asgi."
        return [checks.Warning(text, hint=hint, id="a2a.W036")]
    is_routed = "" not in applications and asgi.is_ours(applications.get("http"))
    if is_routed and "lifespan" not in applications:
        text = (
            "The ProtocolTypeRouter in ASGI_APPLICATION passes on no lifespan events: turns under "
            "way are lost when a server such as uvicorn ends."
        )
        hint = 'Pass the application under "http" to it under "lifespan" too.'
        return [checks.Warning(text, hint=hint, id="a2a.W036")]
    return []


@checks.register(TAG, deploy=True)
def check_websocket(**_: object) -> list[Finding]:
    """Find an ASGI application that lets no WebSocket through to the agents (a2a.W041)."""
    path = getattr(django_settings, "ASGI_APPLICATION", None)
    try:
        if not path or not conf.current().websocket:
            return []
        application = import_string(path)
        url = reverse("a2a:jsonrpc", args=[next(iter(registry.slugs()), "agent")])
    except ImproperlyConfigured:
        return []  # a2a.E001 reports it
    except Exception:  # a2a.W036 and a2a.W031 report whatever the project's modules raise
        return []
    url = url.removeprefix(get_script_prefix())
    if not (fault := _fault_of_websockets(application, url)):
        return []
    return [
        checks.Warning(
            f"A2A['WEBSOCKET'] is on, and ASGI_APPLICATION {fault}.",
            hint="Have get_asgi_application of a2a_app.asgi make it, or pass what that returns to "
            'the ProtocolTypeRouter: "websocket": URLRouter([re_path(r"^a2a/", application), …]).',
            id="a2a.W041",
        )
    ]


@checks.register(TAG)
def check_grpc(**_: object) -> list[Finding]:
    """Find a GRPC_URL that clients cannot dial, or without a PUBLIC_URL (a2a.W039)."""
    try:
        current = conf.current()
    except ImproperlyConfigured:
        return []  # a2a.E001 reports it
    if not current.grpc_url:
        return []
    found = []
    if not _DIALED.fullmatch(current.grpc_url):
        hint = "Most clients pass it to their library of gRPC: agents.example.com:50051."
        found.append((f"A2A['GRPC_URL'] is no host and port: {current.grpc_url!r}.", hint))
    if not current.public_url:
        text = "A2A['GRPC_URL'] is set without A2A['PUBLIC_URL']."
        found.append((text, "manage.py a2a_grpc does not start without it."))
    return [checks.Warning(text, hint=hint, id="a2a.W039") for text, hint in found]


def _fault_of_websockets(application: Any, url: str) -> str:
    """Return why WebSockets to a URL do not reach the app; "" if they do, or nobody can tell."""
    if isinstance(application, ASGIHandler):
        return "is Django's own, which takes no WebSockets"
    if (routed := getattr(application, "application_mapping", None)) is not None:
        if "websocket" not in routed:
            return 'is a ProtocolTypeRouter without "websocket"'
        return _fault_of_websockets(routed["websocket"], url)
    if (routes := getattr(application, "routes", None)) is not None:
        for route in routes:
            if found := route.pattern.match(url):
                return _fault_of_websockets(route.callback, found[0])
        return f"has no route for WebSockets to {url}"
    if hasattr(application, "consumer_class"):
        return f"sends WebSockets to {application.consumer_class.__name__} at the URLs of agents"
    # Channels' middleware has what it wraps under either name.
    wrapped = getattr(application, "inner", None) or getattr(application, "application", None)
    return _fault_of_websockets(wrapped, url) if wrapped else ""


def _not_bypassed() -> list[str]:
    """Return the middleware that requests for agents pass through."""
    middleware = list(django_settings.MIDDLEWARE)
    return middleware[: middleware.index(BYPASS)] if BYPASS in middleware else middleware


def _missing(wanted: Iterable[str], given: Iterable[str]) -> list[str]:
    allowed = {name.lower() for name in given}
    return [] if "*" in allowed else [name for name in wanted if name.lower() not in allowed]
