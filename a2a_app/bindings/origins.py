"""Requests that a page of another site makes its reader's browser send.

Where the browser itself adds what identifies the caller, such as a cookie, the caller need not know
of the request. A token that the page has to add is known to the page, which so acts for itself.
"""

from django.http import HttpRequest
from django.middleware.csrf import CsrfViewMiddleware

from a2a_app import conf, protocol
from a2a_app.bindings.security import has_ambient_credentials
from a2a_app.operations.call import Caller

# These change nothing, and a page cannot read the answer that another site gets.
_SAFE = ("GET", "HEAD", "OPTIONS")


def check_origin(request: HttpRequest, caller: Caller) -> None:
    """Check that a request which a browser may have sent by itself comes from a page of this site.

    That is a page of the same origin, of PUBLIC_URL, or of one of Django's CSRF_TRUSTED_ORIGINS.
    Whatever sends neither `Origin` nor `Sec-Fetch-Site` is no browser.

    Raises:
        PermissionDeniedError: It comes from another one.
    """
    is_safe = request.method in _SAFE and not opens_websocket(request)
    if is_safe or not has_ambient_credentials(caller):
        return
    origin, site = (request.META.get(name) for name in ("HTTP_ORIGIN", "HTTP_SEC_FETCH_SITE"))
    # The browser says so, whatever a proxy has made of scheme and host.
    if site in ("same-origin", "none"):
        return
    if origin and (_is_of_public_url(origin) or _csrf()._origin_verified(request)):  # type: ignore[attr-defined]  # Django's stubs lack it
        return
    raise protocol.PermissionDeniedError(
        "A page of another site has sent the request, with credentials that the browser adds. "
        "CSRF_TRUSTED_ORIGINS names the sites that may."
    )


def opens_websocket(request: HttpRequest) -> bool:
    """Tell whether a request opens a WebSocket, over which a page may do anything."""
    upgrade: str = request.META.get("HTTP_UPGRADE", "")
    return upgrade.lower() == "websocket"


def _is_of_public_url(origin: str) -> bool:
    url = conf.current().public_url
    return bool(url) and "/".join(url.split("/", 3)[:3]).lower() == origin.lower()


@conf.cached("CSRF_TRUSTED_ORIGINS")
def _csrf() -> CsrfViewMiddleware:
    """Return Django's own check of an origin, which no function of its public ones makes alone."""
    return CsrfViewMiddleware(lambda _: None)  # type: ignore[arg-type]  # it calls no view
