"""Threads: what Django keeps for each request, and a long answer does not need."""

import asyncio
from typing import Any

from asgiref.sync import SyncToAsync
from django.db import connections


async def hand_thread_back() -> None:
    """Give up the thread, and its connections, that Django keeps for the request (R14).

    Django's request signals start one for each request, and it lives as long as the response. When
    something asks for it again, such as the signal at the end, a new one is made.
    """
    context = SyncToAsync.thread_sensitive_context.get(None)
    executor: Any = SyncToAsync.context_to_thread_executor.pop(context, None) if context else None
    if executor is not None:
        await asyncio.get_running_loop().run_in_executor(executor, connections.close_all)
        executor.shutdown(wait=False)
