"""The ASGI application: that of Django, with the app's background work from its start to its end.

Use it in place of `django.core.asgi.get_asgi_application`. Without it, turns that a crash left are
begun again only when the first request comes, and turns are cut off when the server ends.
"""

import asyncio
import logging
import sys
from functools import partial
from typing import Any

from django.core import asgi

logger = logging.getLogger(__name__)

_beginnings: set["asyncio.Task[None]"] = set()


def get_asgi_application() -> Any:
    """Return the project's ASGI application, which recovers from crashes as it starts (R6)."""
    application = asgi.get_asgi_application()
    from a2a_app.bindings.api import may_be_ours  # loaded here: the app registry is ready now
    from a2a_app.bindings.calls import up_to_limit, with_known_charset  # as above
    from a2a_app.bindings.readers import Reader  # as above
    from a2a_app.bindings.threads import PooledRequestThread, in_server_context  # as above
    from a2a_app.bindings.websocket.connection import serve as serve_websocket  # as above

    _begin_with_daphne()
    _begin_in_running_loop()

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "websocket":
            await serve_websocket(scope, receive, send)
        elif may_be_ours(scope.get("path", "")):
            receive, send_there = in_server_context(receive, send)
            paced = _paced(send_there, partial(Reader, send_there, send, scope.get("client")))
            async with PooledRequestThread():
                await application(with_known_charset(scope), up_to_limit(scope, receive), paced)
        else:
            await application(scope, receive, send)

    return serve


def is_ours(application: Any) -> bool:
    """Tell whether `get_asgi_application` has made an application."""
    return getattr(application, "__module__", "") == __name__


def _paced(send: Any, make_reader: Any) -> Any:
    """Return a `send` that waits for the reader of a response, if that has more than one piece."""
    reader: Any = None

    async def send_paced(message: Any) -> None:
        nonlocal reader
        if reader is None and message.get("more_body"):
            reader = make_reader()
        await (send if reader is None else reader.send)(message)

    return send_paced


def _begin_with_daphne() -> None:
    """Begin and end with Twisted's reactor, since daphne has no lifespan events.

    Daphne loads the application before the reactor runs.
    """
    reactor: Any = sys.modules.get("twisted.internet.reactor")
    if reactor is not None and "daphne.server" in sys.modules:
        reactor.callLater(0, _begin_in_running_loop)
        reactor.addSystemEventTrigger("before", "shutdown", _end_with_daphne)


def _end_with_daphne() -> Any:
    """End the background work, and have the reactor wait for it. It cuts the streams meanwhile."""
    from twisted.internet.defer import Deferred  # loaded here: only daphne needs it

    return Deferred.fromFuture(asyncio.ensure_future(_end()))


def _begin_in_running_loop() -> None:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    task = loop.create_task(_begin())
    _beginnings.add(task)
    task.add_done_callback(_beginnings.discard)


async def _begin() -> None:
    # Loaded here: the app registry is not ready before Django's own application is made.
    from a2a_app import runners

    try:
        await runners.current().begin()
    except Exception:
        logger.exception("The runner did not begin; it tries again with the first request.")


async def _end() -> None:
    # Loaded here: as above.
    from a2a_app import runners

    await runners.current().end()


async def _lifespan(receive: Any, send: Any) -> None:
    """Answer the lifespan events of servers that have them, such as uvicorn."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await _begin()
            await send({"type": "lifespan.startup.complete"})
        else:
            await _end()
            await send({"type": "lifespan.shutdown.complete"})
            return
