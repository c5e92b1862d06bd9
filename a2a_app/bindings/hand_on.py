"""What a project takes from the request of a message, and hands on to the agent that answers it."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest

from a2a_app import conf
from a2a_app.concurrency.hooks import call_hook


async def handed_on_of(request: HttpRequest) -> dict[str, Any]:
    """Ask the project's hook what it hands on of a request.

    Raises:
        TypeError: The hook returned neither a dict nor None.
    """
    given = await call_hook(hook(), request)
    if given is not None and not isinstance(given, dict):
        path = conf.current().hand_on
        raise TypeError(f"{path} returned {type(given).__name__}, and neither a dict nor None.")
    return given or {}


@conf.cached()
def hook() -> Callable[..., Any] | None:
    """Return the project's hook; None if it has none.

    Raises:
        ImproperlyConfigured: There is nothing at its path, or it cannot be called.
    """
    path = conf.current().hand_on
    return conf.imported("HAND_ON", path) if path else None
