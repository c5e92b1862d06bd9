"""Hooks: callables that a project provides, with or without `async`, whatever they raise."""

import inspect
from typing import Any

from asgiref.sync import sync_to_async

from a2a_app.concurrency.event_loop import Contained


async def call_hook(hook: Any, *args: Any) -> Any:
    """Call a hook and return its result. One without `async` runs in the request's own thread."""
    with Contained(hook):
        if inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(
            getattr(hook, "__call__", None)  # noqa: B004  # asks how it is called, not whether
        ):
            return await hook(*args)
        result = await sync_to_async(_call)(hook, *args)
        return await result if inspect.isawaitable(result) else result


def _call(hook: Any, *args: Any) -> Any:
    # In the thread already: no future accepts a StopIteration, and asgiref passes a SystemExit on.
    with Contained(hook):
        return hook(*args)
