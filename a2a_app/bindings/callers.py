"""Callers: who sent a request, by the project's own means of authentication (section 7)."""

import inspect
from functools import cache
from hashlib import sha256
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.core.signals import setting_changed
from django.db.models import Model
from django.http import HttpRequest
from django.utils.module_loading import import_string

from a2a_app import conf, protocol
from a2a_app.operations.call import Caller

ANONYMOUS = Caller(owner="")

MAX_OWNER = 255


async def caller_of(request: HttpRequest) -> Caller:
    """Find out who asks; raises UnauthenticatedError where nobody may and nobody is known."""
    for authenticate in authenticators():
        found = await _ask(authenticate, request)
        # Django's stand-in for nobody, AnonymousUser, counts as true.
        if found and getattr(found, "is_authenticated", True):
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
    if isinstance(found, get_user_model()):
        return Caller(owner=f"user:{found.pk}", user_id=found.pk)
    if isinstance(found, Model):
        # A user may have the same key.
        return Caller(owner=f"{found._meta.label_lower}:{found.pk}")
    owner = f"name:{found}"
    if len(owner) > MAX_OWNER:
        # Cut short, two names could become one.
        owner = f"digest:{sha256(owner.encode()).hexdigest()}"
    return Caller(owner=owner)


def _forget(*, setting: str, **_: Any) -> None:
    if setting == conf.NAME:
        authenticators.cache_clear()


setting_changed.connect(_forget)
