"""The ASGI application: Django's own, and our background work from the moment it is served.

Use it in place of `django.core.asgi.get_asgi_application`. Without it all works too, but what a
crash left behind is taken up only when the first request comes.
"""

import asyncio
import logging
import sys
from typing import Any

from django.core import asgi

logger = logging.getLogger(__name__)

_beginnings: set["asyncio.Task[None]"] = set()


def get_asgi_application() -> Any:
    """Give the project's ASGI application, with recovery from its first moment (R6)."""
    application = asgi.get_asgi_application()
    from a2a_app.bindings.api import may_be_ours  # loaded here: the app registry is ready now
    from a2a_app.bindings.bodies import with_known_charset  # as above
    from a2a_app.bindings.threads import PooledRequestThread  # as above

    _begin_with_daphne()
    _begin_in_running_loop()

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "websocket":
            await _refuse_websocket(receive, send)
        elif may_be_ours(scope.get("path", "")):
            async with PooledRequestThread():
                await application(with_known_charset(scope), receive, send)
        else:
            await application(scope, receive, send)

    return serve


def _begin_with_daphne() -> None:
    """Have Twisted's reactor begin and end: daphne loads us first, and has no lifespan events."""
    reactor: Any = sys.modules.get("twisted.internet.reactor")
    if reactor is not None and "daphne.server" in sys.modules:
        reactor.callLater(0, _begin_in_running_loop)
        reactor.addSystemEventTrigger("before", "shutdown", _end_with_daphne)


def _end_with_daphne() -> Any:
    """Have the reactor wait for what is under way; it cuts the streams meanwhile."""
    from twisted.internet.defer import Deferred  # daphne has it; other servers need not

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

    try:
        await runners.current().close()
    except Exception:
        logger.exception("What is under way was not given up; its leases will run out.")


async def _refuse_websocket(receive: Any, send: Any) -> None:
    """Close a WebSocket before it is open; Django's application would raise."""
    await receive()
    await send({"type": "websocket.close"})


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
