"""Validation: whether the receiver at a webhook's URL wants notifications of this server."""

import asyncio
import secrets

import httpx

from a2a_app import conf
from a2a_app.push.sender import opened, read_some
from a2a_app.push.targets import TargetError, check_url, pinned

PARAMETER = "validationToken"
# The client waits for it, so this is less than what a notification may take.
SECONDS = 5.0


class UnconfirmedError(TargetError):
    """The receiver has not answered that it wants notifications."""

    def __init__(self) -> None:
        """Say what is missing, and nothing of what came instead: it may be no webhook at all."""
        super().__init__(
            f"has a receiver that does not answer a GET with the query `{PARAMETER}` by its value"
        )


async def confirm(url: str, *, owner: str) -> None:
    """Ask the receiver of a webhook whether it wants notifications.

    It gets a GET with a random token in the query, and answers 200 with the token as its body.

    Args:
        url: The URL of the webhook.
        owner: Who configures it.

    Raises:
        UnconfirmedError: It does not answer so, or not in time.
        TargetError: Nothing is sent to such a URL.
        UnresolvedError: Its address could not be looked up.
    """
    token = secrets.token_urlsafe(32)
    asked = str(httpx.URL(url).copy_merge_params({PARAMETER: token}))
    try:
        # With the time that it takes to look its name up.
        async with asyncio.timeout(min(SECONDS, conf.current().push_timeout_seconds)):
            wanted = await pinned(check_url(asked), owner=owner)
            headers = {**wanted.headers, "Accept": "text/plain"}
            request = httpx.Request(
                "GET", wanted.url, headers=headers, extensions=wanted.extensions
            )
            async with opened() as transport:
                response = await transport.handle_async_request(request)
                body = await read_some(response)
    except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, OSError):
        raise UnconfirmedError from None
    if response.status_code != 200 or body.strip() != token.encode():
        raise UnconfirmedError
