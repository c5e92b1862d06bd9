"""The sender: requests to one webhook, at an address that was checked (section 13.2)."""

import asyncio
import ssl
from contextlib import suppress
from functools import cache
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx
from django.views.decorators.debug import sensitive_variables

from a2a_app import conf, telemetry
from a2a_app.push.addresses import is_address
from a2a_app.push.payloads import Notification
from a2a_app.push.targets import ForbiddenTargetError, TargetError, check_url, port_of, resolve
from a2a_app.security import SecurityEvent, record
from a2a_app.store.deliveries import Delivery
from a2a_app.store.secrets import UnreadableError, unseal

TOKEN_HEADER = "X-A2A-Notification-Token"  # noqa: S105  # the name of a header
# How much of a response is read, so that its connection can be used again.
READ_BYTES = 64 * 1024
# For how long it is read. After that its connection is closed.
READ_SECONDS = 1.0


class NotDeliveredError(Exception):
    """A webhook did not accept a notification. The text says why, for the admin."""


class Sender:
    """Sends notifications to one webhook. Use it as an asynchronous context manager."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        # Each sender has its own, since two hosts at one address must not share connections. A
        # transport and no client: it follows no redirect, uses no proxy of the environment, and
        # logs no URL, which may be a secret.
        self._transport = httpx.AsyncHTTPTransport(verify=_tls(), trust_env=False)
        self._request: dict[str, Any] = {}

    async def __aenter__(self) -> "Sender":
        """Find the webhook's address; raises NotDeliveredError if it must not be used."""
        try:
            self._request = await _request_to(self._delivery)
        except TargetError as error:
            if isinstance(error, ForbiddenTargetError):
                _record_refusal(self._delivery, error)
            raise NotDeliveredError(f"The URL {error}.") from None
        except UnreadableError as error:
            raise NotDeliveredError(f"The credentials cannot be read: {error}") from None
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._transport.aclose()

    async def send(self, notification: Notification) -> None:
        """Send one notification; raises NotDeliveredError unless the status is 2xx."""
        try:
            async with asyncio.timeout(conf.current().push_timeout_seconds):
                status = await self._post(notification)
        except TimeoutError:
            raise NotDeliveredError("No answer came in time.") from None
        except (httpx.LocalProtocolError, httpx.InvalidURL, ValueError) as error:
            # Without the text of the error, which may quote a header that is secret.
            name = type(error).__name__
            raise NotDeliveredError(f"The request cannot be sent: {name}.") from None
        except (httpx.ConnectError, ssl.SSLError) as error:
            raise NotDeliveredError(f"{type(error).__name__}: {error}") from None
        except httpx.HTTPError as error:
            # The text may quote what came back, and so what was sent.
            raise NotDeliveredError(f"The connection broke: {type(error).__name__}.") from None
        if not 200 <= status < 300:
            raise NotDeliveredError(f"The answer was {status}.")

    @sensitive_variables()
    async def _post(self, notification: Notification) -> int:
        wanted = self._request
        trace = telemetry.active.carrier() if telemetry.active else {}
        request = httpx.Request(
            "POST",
            wanted["url"],
            headers={**wanted["headers"], "Content-Type": notification.media_type, **trace},
            extensions=wanted["extensions"],
            content=notification.body.encode(),
        )
        response = await self._transport.handle_async_request(request)
        try:
            # The status decides. A receiver that never ends its body has the notification too.
            with suppress(TimeoutError, httpx.HTTPError):
                async with asyncio.timeout(READ_SECONDS):
                    await _read(response)
            return response.status_code
        finally:
            await response.aclose()


async def _read(response: httpx.Response) -> None:
    """Read a response to its end, unless it is long."""
    size = 0
    async for piece in response.aiter_raw():
        size += len(piece)
        if size > READ_BYTES:
            return


@sensitive_variables()
async def _request_to(delivery: Delivery) -> dict[str, Any]:
    """Return what all requests to a webhook share: the address in the URL, the host in a header."""
    parts = check_url(delivery.url)
    address = await resolve(parts, owner=delivery.scope.owner)
    port = port_of(parts)
    netloc = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    headers = {"Host": parts.netloc, "User-Agent": "a2a_app", **_credentials(delivery)}
    has_name = not is_address(parts.hostname or "")
    return {
        "url": parts._replace(netloc=netloc).geturl(),
        "headers": headers,
        # The certificate must be that of the host, though the URL has its address.
        "extensions": {"sni_hostname": parts.hostname} if has_name else {},
    }


@sensitive_variables()
def _credentials(delivery: Delivery) -> dict[str, str]:
    secrets = unseal(delivery.secrets)
    headers = {}
    if delivery.scheme:
        headers["Authorization"] = f"{delivery.scheme} {secrets.get('credentials', '')}".strip()
    if "token" in secrets:
        headers[TOKEN_HEADER] = secrets["token"]
    return headers


def _record_refusal(delivery: Delivery, error: ForbiddenTargetError) -> None:
    """Log that a webhook was allowed, and is not any more: its name has another address now."""
    record(
        SecurityEvent.WEBHOOK_REFUSED,
        owner=delivery.scope.owner,
        agent=delivery.scope.agent,
        reason=f"Its URL {error}.",
        host=urlsplit(delivery.url).hostname or "",
        task=str(delivery.task_id),
    )


@cache
def _tls() -> ssl.SSLContext:
    # Cached, since it reads all certificates of the machine.
    return ssl.create_default_context()
