"""Who may use the console: users with its permission, where the settings have it on."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, Resolver404, get_script_prefix, resolve, reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect

from a2a_app import conf
from a2a_app.bindings.callers import accept_only
from a2a_app.bindings.ninja_api import exempt

PERMISSION = "a2a_app.use_console"
NAME = "console"
"""The name of the console's authenticator, which is in no card."""

View = Callable[..., Awaitable[HttpResponseBase]]


def is_on() -> bool:
    """Tell whether the console is served."""
    wanted = conf.current().console
    return settings.DEBUG if wanted is None else wanted


def console_user(request: HttpRequest) -> Any:
    """Return the user of a request who may use the console; None for all others.

    This is an authenticator: the console's callers are the users that are signed in.
    """
    user = getattr(request, "user", None)
    may = user is not None and user.is_authenticated and user.has_perm(PERMISSION)
    return user if may else None


def for_users(view: View) -> Any:  # Django's stubs know no asynchronous view
    """Return a view for those who may use the console, each of whom acts as the user that it is."""

    @csrf_protect
    @never_cache
    @wraps(view)
    async def served(request: HttpRequest, *args: Any, **fields: Any) -> HttpResponseBase:
        if not is_on():
            raise Http404("A2A['CONSOLE'] is off.")
        if not await sync_to_async(_is_known)(request):
            if request.method != "POST":
                return HttpResponseRedirect(login_url(request))
            raise PermissionDenied
        if await sync_to_async(console_user)(request) is None:
            raise PermissionDenied
        accept_only(request, NAME, console_user)
        return await view(request, *args, **fields)

    # It asks for the login by itself, and where a project's own LOGIN_URL leads nowhere too.
    return exempt(served)


def _is_known(request: HttpRequest) -> bool:
    user = getattr(request, "user", None)
    return user is not None and user.is_authenticated


def login_url(request: HttpRequest) -> str:
    """Return where to sign in, to come back to the page that a request is for.

    It is the project's page for that, here or on another site; where it has none, the admin's.
    """
    wanted = resolve_url(settings.LOGIN_URL)
    if urlsplit(wanted).netloc:
        return redirect_to_login(request.build_absolute_uri(), wanted).url
    path = wanted.partition("?")[0].removeprefix(get_script_prefix())
    try:
        resolve(f"/{path}")
    except Resolver404:
        with suppress(NoReverseMatch):
            wanted = reverse("admin:login")
    return redirect_to_login(request.get_full_path(), wanted).url
