"""The threads that Django uses for requests, pooled for the requests of this app.

Django's signals at the beginning and the end of a request run in a thread of that request, with
connections of its own. asgiref starts a new one for each request, and another to wait for its end.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import Context, copy_context
from types import coroutine
from typing import Any, TypeAlias

from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.db import connections

# asgiref accepts a thread since 3.13. Older versions always start their own.
POOLS = "executor" in inspect.signature(ThreadSensitiveContext).parameters
# How many idle threads are pooled. More requests at once than that get new threads.
POOL_SIZE = 8
_free: list[Executor] = []
# By the context of the request. A request that has handed its thread back is not among them.
_lent: dict[ThreadSensitiveContext, Executor] = {}

ServerCall: TypeAlias = Callable[..., Awaitable[Any]]
"""A `receive` or a `send` of ASGI."""


def in_server_context(*calls: ServerCall) -> list[ServerCall]:
    """Return a server's `receive` and `send` as ones that know nothing of the request they are for.

    A server may read on from its socket in one of them, or begin the request that follows on the
    same connection. asyncio passes the context on to whatever comes of that. So the next request
    would have the thread of this one, which is another's by then.

    Args:
        calls: The functions. The context of the caller of this one is the server's.
    """
    context = copy_context()

    def within(call: ServerCall) -> ServerCall:
        return lambda *args: _await_in(context, context.run(call, *args))

    return [within(call) for call in calls]


@coroutine
def _await_in(context: Context, awaitable: Awaitable[Any]) -> Generator[Any, Any, Any]:
    """Await something in a context. A task of its own would do so too, and cost a turn of the loop.

    What is awaited runs a step at a time, each until it has to wait.
    """
    steps = awaitable.__await__()
    resume: Callable[[Any], Any] = steps.send
    given: Any = None
    while True:
        try:
            awaited = context.run(resume, given)
        except StopIteration as end:
            return end.value
        try:
            given, resume = (yield awaited), steps.send
        except BaseException as error:  # such as a cancellation, which is for what is awaited
            given, resume = error, steps.throw


class PooledRequestThread:
    """An asynchronous context manager in which a request uses a pooled thread of its own."""

    def __init__(self) -> None:
        self._context: Any = _context_with_thread() if POOLS else ThreadSensitiveContext()

    async def __aenter__(self) -> None:
        await self._context.__aenter__()

    async def __aexit__(self, *error: Any) -> None:
        try:
            await self._context.__aexit__(*error)
        finally:
            _give_back(self._context)


async def hand_thread_back() -> None:
    """Release the thread of the current request, and its connections (R14).

    The request would hold it for as long as its response lasts. Where something needs a thread
    after that, such as the signal at the end of the request, a new one is started.
    """
    context, thread = _take_from_asgiref()
    if context is None or thread is None:
        return
    await asyncio.get_running_loop().run_in_executor(thread, connections.close_all)
    if context in _lent:
        _give_back(context)
    else:
        thread.shutdown(wait=False)


@asynccontextmanager
async def own_thread() -> AsyncIterator[None]:
    """Have hooks without `async` run in one thread, as in a request, where there is none."""
    async with PooledRequestThread():
        try:
            yield
        finally:
            await hand_thread_back()


def _take_from_asgiref() -> tuple[ThreadSensitiveContext | None, Executor | None]:
    """Return the context of the request that is served and its thread, which asgiref forgets.

    This is the only place that reads what asgiref does not document. Both attributes are the same
    from 3.8 to 3.13; without them a response keeps its thread, and all else works.
    """
    current = getattr(SyncToAsync, "thread_sensitive_context", None)
    threads = getattr(SyncToAsync, "context_to_thread_executor", None)
    context = current.get(None) if current is not None else None
    if context is None or threads is None:
        return context, None
    return context, threads.pop(context, None)


def _context_with_thread() -> ThreadSensitiveContext:
    thread = _free.pop() if _free else ThreadPoolExecutor(1, thread_name_prefix="a2a-request")
    context = ThreadSensitiveContext(executor=thread)
    _lent[context] = thread
    return context


def _give_back(context: ThreadSensitiveContext) -> None:
    thread = _lent.pop(context, None)
    if thread is None:
        return
    if len(_free) < POOL_SIZE:
        _free.append(thread)
    else:
        thread.submit(connections.close_all)
        thread.shutdown(wait=False)
