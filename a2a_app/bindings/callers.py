"""Callers: who sent a request, by the project's own means of authentication (section 7)."""

from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Model
from django.http import HttpRequest
from django.utils.module_loading import import_string
from ninja.errors import HttpError

from a2a_app import conf, protocol
from a2a_app.concurrency.hooks import call_hook
from a2a_app.operations.call import Caller

ANONYMOUS = Caller(owner="")


async def caller_of(request: HttpRequest) -> Caller:
    """Find out who asks; raises UnauthenticatedError where nobody may and nobody is known."""
    found, refusal = await _identify(request)
    if found is not None:
        return _caller(found)
    if conf.current().anonymous == "share":
        return ANONYMOUS
    raise protocol.UnauthenticatedError(
        "The request has no valid credentials, and this server refuses callers without any "
        f"({conf.NAME}['ANONYMOUS'] is 'refuse').{refusal and f' {refusal}.'}"
    )


async def identity_of(request: HttpRequest) -> Any:
    """Find out who asks, where anybody may: what the authenticator gave, or None."""
    found, _ = await _identify(request)
    return found


@conf.cached()
def authenticators() -> dict[str, Any]:
    """Give the project's authenticators, each by the name that cards give it.

    Raises ImportError where a path leads nowhere.
    """
    found: dict[str, Any] = {}
    for path in conf.current().authentication:
        authenticator = import_string(path)
        last = path.rpartition(".")[2]
        # Two modules may each have one of the same name.
        name = path if last in found else last
        found[name] = authenticator() if isinstance(authenticator, type) else authenticator
    return found


async def _identify(request: HttpRequest) -> tuple[Any, str]:
    """Ask the authenticators; gives what the first that knows the caller found, else why not."""
    refusals = []
    for authenticate in authenticators().values():
        try:
            found = await call_hook(authenticate, request)
        except HttpError as error:
            if error.status_code not in (401, 403):
                raise
            # So django-ninja's refuse, such as for a session without its CSRF token. The next one
            # may know the caller all the same.
            refusals.append(str(error))
            continue
        # Django's stand-in for nobody, AnonymousUser, counts as true.
        if found and getattr(found, "is_authenticated", True):
            return found, ""
    return None, "; ".join(refusals)


def _caller(found: Any) -> Caller:
    if isinstance(found, get_user_model()):
        return Caller(owner=f"user:{found.pk}", user_id=found.pk, identity=found)
    if isinstance(found, Model):
        # A user may have the same key.
        return Caller(owner=f"{found._meta.label_lower}:{found.pk}", identity=found)
    return Caller(owner=f"name:{found}", identity=found)
