"""Hooks: callables that a project provides, with or without `async`, whatever they raise."""

import asyncio
import inspect
from types import TracebackType
from typing import Any

from asgiref.sync import sync_to_async


class Contained:
    """A context manager for a project's code: nothing that it raises can end or hang the server.

    `SystemExit` and `KeyboardInterrupt` would end the event loop, with all else that it serves. No
    future accepts `StopIteration`, so that a caller would wait for ever. `CancelledError` would
    look like the cancellation of the request, which nobody answers. They become `RuntimeError`.
    Other exceptions, and the cancellation of the current task, pass unchanged.
    """

    def __init__(self, name: object) -> None:
        """Contain the code of that name; the error repeats it."""
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        contained = isinstance(error, SystemExit | KeyboardInterrupt | StopIteration) or (
            isinstance(error, asyncio.CancelledError) and not _is_cancelled()
        )
        if contained:
            raise RuntimeError(f"{self._name} raised {error!r}") from error


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


def _is_cancelled() -> bool:
    """Tell whether somebody has cancelled the current task."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # a thread without an event loop
        return False
    return task is not None and task.cancelling() > 0
