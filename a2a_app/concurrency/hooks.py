"""Hooks: callables of the project's, with or without `async`."""

import inspect
from typing import Any

from asgiref.sync import sync_to_async


async def call_hook(hook: Any, *given: Any) -> Any:
    """Give what a callable gives; one that may block has the request's own thread."""
    if inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(
        getattr(hook, "__call__", None)  # noqa: B004  # asks how it is called, not whether
    ):
        return await hook(*given)
    found = await sync_to_async(_asked)(hook, *given)
    return await found if inspect.isawaitable(found) else found


def _asked(hook: Any, *given: Any) -> Any:
    try:
        return hook(*given)
    except StopIteration as error:
        # Such as a next() of nothing raises. No future takes it: the request would wait for ever.
        raise RuntimeError(f"{hook} raised StopIteration") from error
