"""Requests that come by WSGI, whose work is done on an event loop that outlives them.

Django makes an event loop for each request to an asynchronous view, and ends it with the request.
Hooks that are asked who the caller is run on that loop, or in the request's own thread, as those of
any view do. What lasts, such as a turn, a task's follower or the delivery to webhooks, has one
event loop for the whole process, in a thread of its own.
"""

from collections.abc import Awaitable
from typing import TypeVar

from a2a_app import runners
from a2a_app.bindings.threads import own_thread
from a2a_app.runners.loops import await_in_background

T = TypeVar("T")


async def do_on_lasting_loop(work: Awaitable[T]) -> T:
    """Do work on the lasting event loop and return its result, or raise what it raises.

    When the process ends, what was begun there ends as it does when a server that speaks ASGI ends.
    """
    return await await_in_background(_in_own_thread(work), runners.current().end)


async def _in_own_thread(work: Awaitable[T]) -> T:
    async with own_thread():
        return await work
