"""Callers: who sent a request, by the project's own means of authentication (section 7)."""

import inspect
from functools import cache
from typing import Any

from asgiref.sync import sync_to_async
from django.core.signals import setting_changed
from django.http import HttpRequest
from django.utils.module_loading import import_string

from a2a_app import conf, protocol
from a2a_app.operations.call import Caller

ANONYMOUS = Caller(owner="")


async def caller_of(request: HttpRequest) -> Caller:
    """Find out who asks; raises UnauthenticatedError where nobody may and nobody is known."""
    for authenticate in authenticators():
        found = await _ask(authenticate, request)
        if found:
            return _caller(found)
    if conf.current().anonymous == "share":
        return ANONYMOUS
    raise protocol.UnauthenticatedError(
        "The request has no valid credentials, and this server refuses callers without any "
        f"({conf.NAME}['ANONYMOUS'] is 'refuse')."
    )


@cache
def authenticators() -> list[Any]:
    """Give the project's authenticators; raises ImportError where a path leads nowhere."""
    found = [import_string(path) for path in conf.current().authentication]
    return [each() if isinstance(each, type) else each for each in found]


async def _ask(authenticate: Any, request: HttpRequest) -> Any:
    if inspect.iscoroutinefunction(authenticate) or inspect.iscoroutinefunction(
        getattr(authenticate, "__call__", None)  # noqa: B004  # asks how it is called, not whether
    ):
        return await authenticate(request)
    found = await sync_to_async(authenticate)(request)
    return await found if inspect.isawaitable(found) else found


def _caller(found: Any) -> Caller:
    key = getattr(found, "pk", None)
    if key is None:
        return Caller(owner=f"name:{found}"[:255])
    return Caller(owner=f"user:{key}", user_id=key)


def _forget(*, setting: str, **_: Any) -> None:
    if setting == conf.NAME:
        authenticators.cache_clear()


setting_changed.connect(_forget)
