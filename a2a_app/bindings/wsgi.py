"""Requests that come by WSGI, whose work is done on an event loop that outlives them.

Django makes an event loop for each request to an asynchronous view, and ends it with the request.
Hooks that are asked who the caller is run on that loop, or in the request's own thread, as those of
any view do. What lasts, such as a turn, a task's follower or the delivery to webhooks, has one
event loop for the whole process, in a thread of its own. Whatever else `async_to_sync` makes an
event loop for has the same need.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import TypeVar

from django.http import HttpRequest

from a2a_app import protocol, runners
from a2a_app.bindings.threads import own_thread
from a2a_app.runners.loops import await_in_background

T = TypeVar("T")


def body_of(request: HttpRequest, most: int) -> bytes:
    """Return the body of a request that came by WSGI, up to so many bytes.

    Django reads none whose length is not said, such as one that comes in chunks.

    Raises:
        InvalidRequestError: It breaks off.
    """
    environ = request.META
    if environ.get("CONTENT_LENGTH") or not environ.get("wsgi.input_terminated"):
        return request.read(most)
    try:
        body: bytes = environ["wsgi.input"].read(most)
    except Exception:  # each server has errors of its own
        raise protocol.InvalidRequestError("The body breaks off.") from None
    return body


async def do_on_lasting_loop(work: Awaitable[T]) -> T:
    """Do work on the lasting event loop and return its result, or raise what it raises.

    When the process ends, what was begun there ends as it does when a server that speaks ASGI ends.
    """
    return await await_in_background(_in_own_thread(work), runners.current().end)


async def stream_on_lasting_loop(stream: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """Yield what a generator yields on the lasting event loop, in one task as its timeouts need.

    It is at most two items ahead of whoever reads here.
    """
    here = asyncio.get_running_loop()
    handed_over: asyncio.Queue[T] = asyncio.Queue(1)

    async def hand_over() -> None:
        async with aclosing(stream):
            async for item in stream:
                put = asyncio.run_coroutine_threadsafe(handed_over.put(item), here)
                await asyncio.wrap_future(put)

    following = asyncio.ensure_future(do_on_lasting_loop(hand_over()))
    try:
        while not (following.done() and handed_over.empty()):
            getting = asyncio.ensure_future(handed_over.get())
            await asyncio.wait({getting, following}, return_when=asyncio.FIRST_COMPLETED)
            if getting.done() or not handed_over.empty():
                yield await getting
            else:
                getting.cancel()
        await following
    finally:
        following.cancel()


async def _in_own_thread(work: Awaitable[T]) -> T:
    async with own_thread():
        return await work
