"""Hooks: callables that a project provides, with or without `async`."""

import inspect
from typing import Any

from asgiref.sync import sync_to_async


async def call_hook(hook: Any, *args: Any) -> Any:
    """Call a hook and return its result. One without `async` runs in the request's own thread."""
    if inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(
        getattr(hook, "__call__", None)  # noqa: B004  # asks how it is called, not whether
    ):
        return await hook(*args)
    result = await sync_to_async(_call)(hook, *args)
    return await result if inspect.isawaitable(result) else result


def _call(hook: Any, *args: Any) -> Any:
    try:
        return hook(*args)
    except StopIteration as error:
        # A hook that calls next() may raise it. No future accepts it: the request would wait for
        # ever.
        raise RuntimeError(f"{hook} raised StopIteration") from error
