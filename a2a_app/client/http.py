"""HTTP to agents elsewhere: where it may go, and what is read of its answers below the SDK."""

import json
import re
import ssl
from collections import deque
from collections.abc import AsyncIterator, Collection
from contextvars import ContextVar
from functools import cache
from typing import Any

import httpx

from a2a_app import conf, protocol, telemetry
from a2a_app.bindings.expansion import BodyTooLargeError, check_values
from a2a_app.bindings.sse import LINE_ENDS
from a2a_app.client.refusals import MovedError, RemoteAgentError, refusal_of, seconds_in
from a2a_app.push.addresses import is_address
from a2a_app.push.targets import TargetError, check_url, resolve

# Statuses with which proxies and servers say that something is missing for now.
UNAVAILABLE = (429, 502, 503, 504)
# Those with which they say that there is nobody, or nobody who answers requests.
MOVED = (404, 405, 410)

# How large an answer may be, an event of a stream, and what is fetched besides, such as a card. To
# read a card as objects takes a second for each 30,000 values, and nothing else is done meanwhile.
ANSWER_BYTES = 64 * 1024 * 1024
PAGE_BYTES = 256 * 1024
PAGE_VALUES = 20_000
# The extension of a request that asks for such a page.
PAGE = "a2a_page"

# FastA2A writes the time of a status without its zone, and the SDK refuses that.
_WITHOUT_ZONE = re.compile(
    rb'("status": ?\{"state": ?"[\w-]+", ?'
    rb'"timestamp": ?"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)"'
)

# Other servers write them as they are, and the SDK takes them for ends of lines.
_ESCAPES = [(character.encode(), escape.encode()) for character, escape in LINE_ENDS.items()]

numbers: ContextVar[deque[int | None] | None] = ContextVar("a2a_event_numbers", default=None)
"""Where the numbers of the events of the next stream go, in the order of the events."""


class GuardedTransport(httpx.AsyncBaseTransport):
    """Connects to public addresses only, and to the hosts that the settings name.

    The address that is checked is the one that is used: a name may have another one next time.
    """

    def __init__(self, trusted: Collection[str]) -> None:
        """Make a transport that may go to these hosts, whatever their addresses are."""
        self._trusted = trusted
        # One for each host, since two hosts at one address must not share connections.
        self._transports: dict[str, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; raise RemoteAgentError where it must not go."""
        host = request.url.host
        if host not in self._transports:
            self._transports[host] = httpx.AsyncHTTPTransport(verify=_tls(), trust_env=False)
        if host not in self._trusted:
            request = await _pinned(request)
        return await self._transports[host].handle_async_request(request)

    async def aclose(self) -> None:
        """Close all connections."""
        for transport in self._transports.values():
            await transport.aclose()


async def _pinned(request: httpx.Request) -> httpx.Request:
    """Return a request with the address to connect to in its URL; its header Host has the name."""
    host = request.url.host
    try:
        address = await resolve(check_url(str(request.url)), owner=__name__)
    except TargetError as error:
        raise RemoteAgentError(f"The URL of {host} {error}.") from None
    # The certificate must be that of the host, though the URL has its address.
    name = {} if is_address(host) else {"sni_hostname": host}
    return _copy(request, request.url.copy_with(host=address), **name)


class SecretQuery(httpx.AsyncBaseTransport):
    """Adds credentials to the query of each request, below all that logs the URL."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        """Stand before a transport."""
        self._transport = transport
        self.query: dict[str, str] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request with the credentials."""
        if self.query:
            request = _copy(request, request.url.copy_merge_params(self.query))
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the transport."""
        await self._transport.aclose()


def _copy(request: httpx.Request, url: httpx.URL, **extensions: str) -> httpx.Request:
    return httpx.Request(
        request.method,
        url,
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, **extensions},
    )


async def join_trace(request: httpx.Request) -> None:
    """Name in a request the trace of the code that calls, where anybody follows it."""
    if telemetry.active is not None:
        request.headers.update(telemetry.active.carrier())


async def examine(response: httpx.Response) -> None:
    """Raise the error that a response reports, and note the numbers of events as they come.

    The SDK knows neither all of our errors nor the numbers of events, and reads whatever comes.

    Raises:
        A2AError: The response reports it.
        RemoteAgentError: It is larger than any answer, or becomes so.
    """
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding.lower() not in ("", "identity"):  # of a few bytes it could make any number
        raise RemoteAgentError(f"The answer is packed by {encoding!r}, as nobody has asked for.")
    kind = response.headers.get("Content-Type", "").partition(";")[0]
    is_page = PAGE in response.request.extensions
    # Where no stream is wanted all is read, however many events it has.
    noted = numbers.get() if kind == "text/event-stream" and response.is_success else None
    response.stream = _Examined(response.stream, noted, PAGE_BYTES if is_page else ANSWER_BYTES)
    if noted is None:  # The SDK parses it, whatever its type is.
        _check_values(await response.aread(), PAGE_VALUES if is_page else None)
    if kind.endswith("json") and not is_page:
        _raise_error_in(response.content, response)
    if response.status_code in MOVED and not is_page:
        place = str(response.url.copy_with(query=None))[:200]
        raise MovedError(f"There is nobody at {place}: {response.status_code}.")
    if response.status_code in UNAVAILABLE:
        raise _unavailable(response)
    if response.status_code == 401:
        raise protocol.UnauthenticatedError
    if response.status_code == 403:
        raise protocol.PermissionDeniedError


def _check_values(content: bytes, most: int | None) -> None:
    most = conf.current().max_json_values if most is None else most
    try:
        if most:
            check_values(content, most)
    except BodyTooLargeError:
        raise RemoteAgentError(f"The answer has more than {most} values in its JSON.") from None


def _unavailable(response: httpx.Response) -> protocol.UnavailableError:
    error = protocol.UnavailableError(f"{response.url.host} answered {response.status_code}.")
    error.retry_seconds = _retry_seconds(response, error.retry_seconds)
    return error


def _raise_error_in(content: bytes, response: httpx.Response | None = None) -> None:
    try:
        body = json.loads(content)
    except ValueError:  # the SDK says so
        return
    if not isinstance(body, dict):
        return
    error = body.get("error")
    if error is None and response is not None and response.is_error:
        error = body  # as HTTP+JSON of 0.3 has it
    if isinstance(error, dict) and "code" in error:
        refusal = refusal_of(error)
        if isinstance(refusal, protocol.UnavailableError) and response is not None:
            refusal.retry_seconds = _retry_seconds(response, refusal.retry_seconds)
        raise refusal


def _retry_seconds(response: httpx.Response, default: float) -> float:
    said = response.headers.get("Retry-After")
    return default if said is None else seconds_in(said)


class _Examined(httpx.AsyncByteStream):
    """A body, as it passes: the numbers of its events are noted, and their errors raised."""

    def __init__(self, stream: Any, noted: deque[int | None] | None, most: int) -> None:
        """Stand before a body.

        Args:
            stream: The body.
            noted: Where the numbers of its events go; None: it is no stream of events.
            most: How many bytes it may have, or one event of it if it is a stream.
        """
        self._stream, self._noted, self._most = stream, noted, most
        self._bytes = 0
        self._number: int | None = None
        self._data: list[bytes] = []

    async def __aiter__(self) -> AsyncIterator[bytes]:
        # A list, since to add to bytes copies all that is there.
        left: list[bytes] = []
        left_bytes = 0
        async for chunk in self._stream:
            lines, end, rest = chunk.rpartition(b"\n")
            if end:
                whole = b"".join([*left, lines, end])
                left.clear()
                left_bytes = 0
                yield _WITHOUT_ZONE.sub(rb'\1Z"', self._looked_at(whole))
            if rest:
                left.append(rest)
                left_bytes += len(rest)
                self._check(self._bytes + left_bytes)
        yield _WITHOUT_ZONE.sub(rb'\1Z"', b"".join(left))

    def _count(self, size: int) -> None:
        self._bytes += size
        self._check(self._bytes)

    def _check(self, size: int) -> None:
        if size > self._most:
            raise RemoteAgentError(f"The answer has more than {self._most} bytes.")

    def _looked_at(self, lines: bytes) -> bytes:
        """Return lines as the SDK is to read them."""
        if self._noted is None:
            self._count(len(lines))
            return lines
        for line in lines.split(b"\n")[:-1]:
            self._look_at_line(line.rstrip(b"\r"))
        for character, escape in _ESCAPES:
            lines = lines.replace(character, escape)
        return lines

    def _look_at_line(self, line: bytes) -> None:
        self._count(len(line) + 1)
        name, _, value = line.partition(b":")
        if name == b"id":
            self._number = int(value) if value.strip().isdigit() else None
        elif name == b"data":
            self._data.append(value.removeprefix(b" "))
        elif not line:
            self._end_event()

    def _end_event(self) -> None:
        self._bytes = 0
        data = b"\n".join(self._data)
        self._data.clear()
        if not data:
            return
        _check_values(data, None)
        if b'"error"' in data:
            _raise_error_in(data)
        assert self._noted is not None  # a stream has events
        self._noted.append(self._number)
        self._number = None

    async def aclose(self) -> None:
        await self._stream.aclose()


@cache
def _tls() -> ssl.SSLContext:
    # Cached, since it reads all certificates of the machine.
    return ssl.create_default_context()
