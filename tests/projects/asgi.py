"""ASGI applications as projects have them: ours, Django's own, and routers of Channels."""

from channels.routing import ProtocolTypeRouter
from django.core import asgi

from a2a_app.asgi import get_asgi_application

ours = get_asgi_application()
of_django = asgi.get_asgi_application()
routed_to_django = ProtocolTypeRouter({"http": of_django, "lifespan": ours})
without_lifespan = ProtocolTypeRouter({"http": ours})
