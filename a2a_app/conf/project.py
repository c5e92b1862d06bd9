"""What the project has set: one dict, `A2A`, in its Django settings."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, TypeVar, cast

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string
from pydantic import ValidationError

from a2a_app.conf.entries import Budget, RemoteAgentSettings, Retention
from a2a_app.conf.settings import Settings

NAME = "A2A"

F = TypeVar("F", bound=Callable[..., Any])


def cached(*settings: str, maxsize: int | None = None) -> Callable[[F], F]:
    """Cache the results of a function until a setting that it uses changes, as happens in tests.

    Args:
        settings: The names of the Django settings that the function uses. Without any: `A2A`.
        maxsize: How many results are cached, one for each set of arguments. None: all of them.

    Returns:
        A decorator. The decorated function has `cache_clear`, as with `functools.lru_cache`.
    """
    watched = settings or (NAME,)

    def decorate(function: F) -> F:
        cached_function = lru_cache(maxsize)(function)

        def clear_on_change(*, setting: str, **_: Any) -> None:
            if setting in watched:
                cached_function.cache_clear()

        setting_changed.connect(clear_on_change, weak=False)
        return cast("F", cached_function)

    return decorate


@cached()
def current() -> Settings:
    """Return the project's settings; raises ImproperlyConfigured that names each bad entry."""
    declared: Any = getattr(django_settings, NAME, {})
    if not isinstance(declared, dict):
        raise ImproperlyConfigured(f"{NAME} must be a dict, not {type(declared).__name__}.")
    try:
        return Settings.model_validate(declared)
    except ValidationError as error:
        raise ImproperlyConfigured(_explain(error)) from error


def imported(setting: str, path: str) -> Callable[..., Any]:
    """Return the callable at a dotted path; raises ImproperlyConfigured that names the setting."""
    try:
        found: Any = import_string(path)
    except ImportError as error:
        raise ImproperlyConfigured(f"{NAME}[{setting!r}]: {error}") from error
    if not callable(found):
        raise ImproperlyConfigured(f"{NAME}[{setting!r}]: {path} cannot be called.")
    return found  # type: ignore[no-any-return]  # callable() says no more


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        key = ".".join(str(step) for step in problem["loc"])
        is_unknown = problem["type"] == "extra_forbidden"
        hint = _explain_unknown(problem["loc"]) if is_unknown else problem["msg"]
        lines.append(f"{NAME}[{key!r}]: {hint}")
    return "\n".join(lines)


def _explain_unknown(place: tuple[int | str, ...]) -> str:
    """Say of a key that there is not what it may have meant."""
    settings = [name.upper() for name in Settings.model_fields]
    known = settings if len(place) == 1 else _keys_of_entries(str(place[0]))
    meant = suggestion(str(place[-1]), known)
    return f"unknown. {meant}" if meant else f"unknown; there are {', '.join(known)}"


def _keys_of_entries(setting: str) -> list[str]:
    if setting == "REMOTE_AGENTS":
        return [name.upper() for name in RemoteAgentSettings.model_fields]
    return list((Budget if setting == "BUDGETS" else Retention).model_fields)


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the question whether another name was meant; empty if none is like it."""
    by_lower = {each.lower(): each for each in known}
    close = get_close_matches(name.lower(), by_lower, n=1)
    return f"Did you mean {by_lower[close[0]]!r}?" if close else ""
