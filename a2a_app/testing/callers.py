"""The callers of a test's clients, whom no credentials of the project have to identify."""

from secrets import token_urlsafe
from typing import Any, Final

from django.http import HttpRequest

from a2a_app.operations.call import CallerName

HEADER = "X-A2A-Test-Caller"
AUTHENTICATOR = f"{__name__}.known_caller"
"""The path of the authenticator that knows them, for AUTHENTICATION."""

SOMEBODY: Final = CallerName("a2a_app.testing")
"""A known caller that is no user."""

_callers: dict[str, Any] = {}


async def known_caller(request: HttpRequest) -> Any:
    """Return the caller in whose name a client of a test has sent the request, if any."""
    return _callers.get(request.META.get("HTTP_X_A2A_TEST_CALLER", ""))


def sign_in(identity: Any) -> dict[str, str]:
    """Return the headers by which requests are those of a caller, until `sign_out`."""
    token = token_urlsafe()
    _callers[token] = identity
    return {HEADER: token}


def sign_out(headers: dict[str, str]) -> None:
    """Forget the caller of `sign_in`."""
    _callers.pop(headers.get(HEADER, ""), None)
