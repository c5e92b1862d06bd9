"""The handshake of a WebSocket, and the request that stands for each of its frames.

Authenticators, the resolver of tenants and the project's other hooks get a request of Django's,
with the headers of the handshake, and need to know nothing of WebSockets. No middleware of Django's
sees it. Its user is the one that Channels' own middleware has found, where the project has that.
"""

from importlib import import_module
from io import BytesIO
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import SESSION_KEY, get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, HttpRequest
from django.urls import resolve

from a2a_app import protocol
from a2a_app.bindings.reauthentication import as_if_it_came_now

# What a frame may say for itself. Who the caller is, the handshake has said.
HEADERS = (
    protocol.VERSION_HEADER,
    protocol.EXTENSIONS_HEADER,
    protocol.EXTENSIONS_HEADER_03,
    protocol.IDEMPOTENCY_HEADER,
    protocol.CURRENT_GENERATION_HEADER,
    protocol.IF_GENERATION_MATCH_HEADER,
    "Last-Event-ID",
    "traceparent",
    "tracestate",
)
_NAMES = {name.lower(): f"HTTP_{name.upper().replace('-', '_')}" for name in HEADERS}
_VIEWS = ("a2a:jsonrpc", "a2a:jsonrpc_without_slash")


def request_of(scope: Any) -> HttpRequest:
    """Return the request that a handshake is; raise Http404 where Django can make none of it."""
    scheme = "https" if scope.get("scheme") == "wss" else "http"
    of_http = {**scope, "type": "http", "method": "GET", "scheme": scheme}
    try:
        request: Any = ASGIRequest(of_http, BytesIO())
    except (LookupError, ValueError):  # of a charset, or a query that is no UTF-8
        raise Http404 from None
    request.META["HTTP_UPGRADE"] = "websocket"
    user = scope.get("user") or AnonymousUser()
    request.user = user

    async def auser() -> Any:
        return user

    request.auser = auser
    return request  # type: ignore[no-any-return]  # it is a subclass


async def note_session(request: HttpRequest, scope: Any) -> None:
    """Have a request know the session in which Channels' middleware has found its user.

    So the user is nobody any more once the session has ended, or the password is another one.
    """
    session = scope.get("session")
    if session is not None and isinstance(request.user, get_user_model()):
        await sync_to_async(_note_session)(request, session)


def _note_session(request: HttpRequest, session: Any) -> None:
    user: Any = request.user
    # Otherwise something else has found the user.
    if session.get(SESSION_KEY) == user._meta.pk.value_to_string(user):
        # Channels wraps its own in an object that cannot be made anew for each call.
        store = import_module(settings.SESSION_ENGINE).SessionStore
        request.session = store(session.session_key)


def slug_in(path: str) -> str:
    """Return the slug of the agent whose URL a path is; raise Http404."""
    match = resolve(path)
    if match.view_name not in _VIEWS:
        raise Http404("There is no agent here.")
    slug: str = match.kwargs["slug"]
    return slug


def request_for(handshake: HttpRequest, frame: Any) -> HttpRequest:
    """Return the request that a frame is: that of the handshake, with the frame's own headers.

    Raises:
        InvalidRequestError: It has a header that no frame may have.
    """
    given = frame.get("headers") if isinstance(frame, dict) else None
    request = as_if_it_came_now(handshake)
    if given is None:
        return request
    if not isinstance(given, dict):
        raise protocol.InvalidRequestError("headers must be an object.")
    request.META = dict(request.META)
    request.__dict__.pop("headers", None)  # which Django makes of them once
    for name, value in given.items():
        key = _NAMES.get(name.lower())
        if key is None or not isinstance(value, str):
            raise protocol.InvalidRequestError(
                f"headers may have texts under these names: {', '.join(HEADERS)}."
            )
        request.META[key] = value
    return request
