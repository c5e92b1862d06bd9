"""The sender: requests to one webhook, at an address that was checked (section 13.2)."""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from types import TracebackType
from urllib.parse import urlsplit

import httpx
from django.views.decorators.debug import sensitive_variables

from a2a_app import conf, telemetry
from a2a_app.push.payloads import Notification
from a2a_app.push.signatures import signature_headers
from a2a_app.push.targets import ForbiddenTargetError, Pinned, TargetError, check_url, pinned
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
        # Each sender has its own, since two hosts at one address must not share connections.
        self._transport = opened()
        self._pinned: Pinned
        self._secrets: dict[str, str] = {}

    async def __aenter__(self) -> "Sender":
        """Find the webhook's address; raises NotDeliveredError if it must not be used."""
        try:
            parts, owner = check_url(self._delivery.url), self._delivery.scope.owner
            self._pinned = await pinned(parts, owner=owner)
            self._secrets = unseal(self._delivery.secrets)
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
        wanted = self._pinned
        headers = {**wanted.headers, **_credentials(self._delivery, self._secrets)}
        if conf.current().push_signatures:
            headers |= signature_headers(self._delivery, notification, self._secrets)
        trace = telemetry.active.carrier() if telemetry.active else {}
        request = httpx.Request(
            "POST",
            wanted.url,
            headers={**headers, "Content-Type": notification.media_type, **trace},
            extensions=dict(wanted.extensions),
            content=notification.body.encode(),
        )
        response = await self._transport.handle_async_request(request)
        try:
            # The status decides. A receiver that never ends its body has the notification too.
            with suppress(TimeoutError, httpx.HTTPError):
                async with asyncio.timeout(READ_SECONDS):
                    await read_some(response)
            return response.status_code
        finally:
            await response.aclose()


def opened() -> httpx.AsyncHTTPTransport:
    """Return a transport to one host.

    A transport and no client: it follows no redirect, uses no proxy of the environment, and logs no
    URL, which may be a secret.
    """
    return httpx.AsyncHTTPTransport(verify=_tls(), trust_env=False)


async def read_some(response: httpx.Response) -> bytes:
    """Return the body of a response, or its beginning if it is long."""
    read = b""
    async for piece in response.aiter_raw():
        read += piece
        if len(read) > READ_BYTES:
            break
    return read


@sensitive_variables()
def _credentials(delivery: Delivery, secrets: Mapping[str, str]) -> dict[str, str]:
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
