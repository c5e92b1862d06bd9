"""The caller of a request, whom the project's own authenticators identify (section 7)."""

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
    """Return the caller of a request.

    Raises:
        UnauthenticatedError: The caller is unknown, and the settings refuse unknown callers.
    """
    identity, refusal = await _identify(request)
    if identity is not None:
        return _caller(identity)
    if conf.current().anonymous == "share":
        return ANONYMOUS
    raise protocol.UnauthenticatedError(
        "The request has no valid credentials, and this server refuses callers without any "
        f"({conf.NAME}['ANONYMOUS'] is 'refuse').{refusal and f' {refusal}.'}"
    )


async def identity_of(request: HttpRequest) -> Any:
    """Return the object with which an authenticator identifies the caller; None if unknown."""
    identity, _ = await _identify(request)
    return identity


@conf.cached()
def authenticators() -> dict[str, Any]:
    """Return the project's authenticators, by the names that they have in cards.

    Raises:
        ImportError: There is nothing at the path of one of them.
    """
    by_name: dict[str, Any] = {}
    for path in conf.current().authentication:
        authenticator = import_string(path)
        short_name = path.rpartition(".")[2]
        # Two modules may each have one of the same name.
        name = path if short_name in by_name else short_name
        by_name[name] = authenticator() if isinstance(authenticator, type) else authenticator
    return by_name


async def _identify(request: HttpRequest) -> tuple[Any, str]:
    """Ask the authenticators, in their order, until one knows the caller.

    Returns:
        What that one returned, and an empty text. If none knows the caller: None, and the reasons
        why they refused.
    """
    refusals = []
    for authenticate in authenticators().values():
        try:
            identity = await call_hook(authenticate, request)
        except HttpError as error:
            if error.status_code not in (401, 403):
                raise
            # django-ninja's authenticators refuse in this way, such as a session without its CSRF
            # token. The next one may know the caller all the same.
            refusals.append(str(error))
            continue
        # Django's AnonymousUser is an object like others, and is true.
        if identity and getattr(identity, "is_authenticated", True):
            return identity, ""
    return None, "; ".join(refusals)


def _caller(identity: Any) -> Caller:
    if isinstance(identity, get_user_model()):
        return Caller(owner=f"user:{identity.pk}", user_id=identity.pk, identity=identity)
    if isinstance(identity, Model):
        # With its label, because a user may have the same key.
        return Caller(owner=f"{identity._meta.label_lower}:{identity.pk}", identity=identity)
    return Caller(owner=f"name:{identity}", identity=identity)
