"""Threads: the one that Django wants for each request, kept from one of ours to the next.

Django's signals at the beginning and the end of a request run in a thread that is the request's
own, with its own connections. asgiref starts it anew each time, and another to wait for its end.
"""

import asyncio
import inspect
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.db import connections

# asgiref takes a thread of ours since 3.13. An older one makes its own for each request, as ever.
POOLS = "executor" in inspect.signature(ThreadSensitiveContext).parameters
# As many requests at once find a thread that is there; others get one of their own, as ever.
KEPT = 8
_free: list[Executor] = []
# By the request's context: one that has handed its thread back has no part in it any more.
_lent: dict[ThreadSensitiveContext, Executor] = {}


class PooledRequestThread:
    """Serves a request with a thread that others have used before it, one at a time."""

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
    """Give up the thread of the request that is served, and its connections (R14).

    It would be kept for as long as the response lasts. When something asks for it again, such as
    the signal at the end, a new one is made.
    """
    context, thread = _take_from_asgiref()
    if context is None or thread is None:
        return
    await asyncio.get_running_loop().run_in_executor(thread, connections.close_all)
    if context in _lent:
        _give_back(context)
    else:
        thread.shutdown(wait=False)


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
    if len(_free) < KEPT:
        _free.append(thread)
    else:
        thread.submit(connections.close_all)
        thread.shutdown(wait=False)
