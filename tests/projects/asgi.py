"""ASGI applications as projects have them: ours, Django's own, and routers of Channels."""

from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import WebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core import asgi
from django.urls import re_path

from a2a_app.asgi import get_asgi_application

ours = get_asgi_application()
of_django = asgi.get_asgi_application()
routed_to_django = ProtocolTypeRouter({"http": of_django, "lifespan": ours})
without_lifespan = ProtocolTypeRouter({"http": ours})


def _websockets(*routes: Any) -> ProtocolTypeRouter:
    """Route WebSockets, wrapped as Channels' documentation has it."""
    router: Any = URLRouter(list(routes))
    routed: Any = AllowedHostsOriginValidator(AuthMiddlewareStack(router))
    return ProtocolTypeRouter({"http": ours, "lifespan": ours, "websocket": routed})


class Chat(WebsocketConsumer):
    """A consumer of the project's own."""


# Django's types know only its own views.
route: Any = re_path
chat_only = _websockets(route(r"^chat/", Chat.as_asgi()))
chat_takes_all = _websockets(route(r"^", Chat.as_asgi()), route(r"^a2a/", ours))
chat_and_ours = _websockets(route(r"^chat/", Chat.as_asgi()), route(r"^a2a/", ours))
inner: Any = URLRouter([route(r"^", ours)])
nested = _websockets(route(r"^a2a/", inner))
