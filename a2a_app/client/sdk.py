"""The connection to an agent elsewhere, by the official SDK. It needs the extra `client`."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import httpx
from a2a.client import Client, ClientCallContext, ClientConfig, ClientFactory
from a2a.client.errors import A2AClientTimeoutError
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import A2AError as SdkError
from google.protobuf import json_format

from a2a_app import protocol
from a2a_app.agents.answers import Event
from a2a_app.agents.signing import SignatureError
from a2a_app.client import http
from a2a_app.client.cards import CardSource
from a2a_app.client.connection import Connection, Request
from a2a_app.client.credentials import check_sendable, credentials_for
from a2a_app.client.refusals import (
    MOST_SAID,
    OF_THE_CARD,
    RemoteAgentError,
    UnreachableError,
)
from a2a_app.protocol import A2AError, StreamResponse

BINDINGS = ("JSONRPC", "HTTP+JSON")
CONNECT_SECONDS = 10.0
DEFAULT_PORTS = {"http": 80, "https": 443}
# Of a card's interfaces, in an error.
MOST_NAMED, MOST_CHARACTERS = 10, 150

# What the SDK, and what it uses, raise of an answer that is none: it trusts whoever answers.
_MALFORMED = (
    SdkError, json_format.Error, httpx.HTTPError, httpx.InvalidURL, RecursionError, ValueError,
    TypeError, AttributeError, LookupError,
)  # fmt: skip  # as one list

# The SDK's messages and methods of our operations; those that stream are not asked for a result.
_ASKED: dict[str, tuple[Any, str]] = {
    "GetTask": (pb.GetTaskRequest, "get_task"),
    "ListTasks": (pb.ListTasksRequest, "list_tasks"),
    "CancelTask": (pb.CancelTaskRequest, "cancel_task"),
    "CreateTaskPushNotificationConfig": (
        pb.TaskPushNotificationConfig,
        "create_task_push_notification_config",
    ),
    "GetExtendedAgentCard": (pb.GetExtendedAgentCardRequest, "get_extended_agent_card"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An agent elsewhere, and how it is called."""

    url: str
    """The URL of the agent, or of its card."""
    name: str = ""
    """The name under which its card is kept for further connections; empty: it is not."""
    is_trusted: bool = False
    """Whether the URL is the project's own choice, so that its host may have any address."""
    credentials: str | Mapping[str, str] = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    hosts: tuple[str, ...] = ()
    """Hosts besides that of the URL to which the credentials may go, each with its port if that is
    not the usual one."""
    signature: str = "check"
    key: str = ""
    binding: str = ""
    version: str = ""
    seconds: float = 60.0
    transport: httpx.AsyncBaseTransport | None = None


class SdkConnection(Connection):
    """Speaks to an agent elsewhere, by whichever binding and version its card offers."""

    def __init__(self, place: Place) -> None:
        """Connect to a place; raise RemoteAgentError where a header cannot be sent."""
        self._place = place
        check_sendable(place.headers, "header")
        url = httpx.URL(place.url)
        self._known = {_origin(url)}
        """The scheme, host and port of each URL to which the credentials may go."""
        for host in place.hosts:
            self._known |= {_origin(httpx.URL(f"{scheme}://{host}")) for scheme in DEFAULT_PORTS}
        trusted = {host for _, host, _ in self._known} if place.is_trusted else set()
        self._transport = http.SecretQuery(place.transport or http.GuardedTransport(trusted))
        self._http = httpx.AsyncClient(
            transport=self._transport,
            timeout=httpx.Timeout(place.seconds, connect=min(place.seconds, CONNECT_SECONDS)),
            headers={"Accept-Encoding": "identity", "User-Agent": "a2a_app", **place.headers},
            event_hooks={"request": [http.join_trace], "response": [http.examine]},
            trust_env=False,
        )
        self.card_url = ""
        """Where the card was found."""
        self._source = CardSource(
            name=place.name,
            url=place.url,
            is_trusted=place.is_trusted,
            headers=tuple(sorted(place.headers.items())),
            signature=place.signature,
            public_key=place.key,
            # A transport of the caller's own may be one that is somebody else for the agent.
            keeps=bool(place.name) and place.transport is None,
        )
        self._sdk: Client
        self._interface: pb.AgentInterface

    async def __aenter__(self) -> "SdkConnection":
        """Fetch the card unless it is kept, and check its signature."""
        try:
            with self._translating():
                await self._connect()
        except BaseException:
            await self._http.aclose()
            raise
        return self

    async def __aexit__(self, *_: Any) -> None:
        """Close all connections."""
        await self._http.aclose()

    @property
    def about(self) -> dict[str, Any]:
        """What spans say of where it leads, in the words of OpenTelemetry's conventions."""
        url = httpx.URL(self._interface.url)
        return {
            **super().about,
            "rpc.system.name": self._interface.protocol_binding.lower(),
            "server.address": url.host,
            "server.port": url.port or (443 if url.scheme == "https" else 80),
        }

    async def ask(self, request: Request) -> dict[str, Any]:
        """Ask for the result of an operation."""
        context = self._context(request)
        with self._translating():
            async with asyncio.timeout(self._place.seconds):  # as for a card
                if request.operation == "SendMessage":
                    return await self._send(request, context)
                kind, method = _ASKED[request.operation]
                sent = json_format.ParseDict(request.params.to_dict(), kind())
                return _json_of(await getattr(self._sdk, method)(sent, context=context))

    async def open(self, request: Request) -> AsyncGenerator[Event, None]:
        """Ask for the events of an operation that streams."""
        noted: deque[int | None] = deque()
        async with aclosing(self._stream(request)) as items:
            while True:
                # The response is examined in the step that opens it.
                token = http.numbers.set(noted)
                try:
                    with self._translating():
                        item = await anext(items, None)
                finally:
                    http.numbers.reset(token)
                if item is None:
                    return
                yield Event(_event_of(item), noted.popleft() if noted else None)

    def _stream(self, request: Request) -> AsyncGenerator[pb.StreamResponse, None]:
        context, params = self._context(request), request.params.to_dict()
        opened: Any
        if request.operation == "SubscribeToTask":
            opened = self._sdk.subscribe(
                json_format.ParseDict(params, pb.SubscribeToTaskRequest()), context=context
            )
        else:
            sent = json_format.ParseDict(params, pb.SendMessageRequest())
            opened = self._sdk.send_message(sent, context=context)
        return opened  # type: ignore[no-any-return]  # an asynchronous generator, by its code

    async def _send(self, request: Request, context: ClientCallContext) -> dict[str, Any]:
        sent = json_format.ParseDict(request.params.to_dict(), pb.SendMessageRequest())
        # The SDK's client streams where the agent can, and its transport does as it is told.
        transport: Any = self._sdk._transport  # type: ignore[attr-defined]  # of BaseClient
        return _json_of(await transport.send_message(sent, context=context))

    @staticmethod
    def _context(request: Request) -> ClientCallContext:
        return ClientCallContext(service_parameters=request.headers)

    @contextmanager
    def _translating(self) -> Iterator[None]:
        """Raise errors as ours, and forget the card if it may be the reason."""
        try:
            yield
        except BaseException as error:
            translated = _translated(error)
            if isinstance(translated, OF_THE_CARD):
                self._source.forget()
            if translated is error:
                raise
            raise translated from error

    async def _connect(self) -> None:
        try:
            card = await self._choose_card()
        except RemoteAgentError:
            if not self.is_card_kept:
                raise
            self._source.forget()
            card = await self._choose_card()
        config = ClientConfig(httpx_client=self._http, supported_protocol_bindings=list(BINDINGS))
        self._sdk = ClientFactory(config).create(card)

    async def _choose_card(self) -> pb.AgentCard:
        found, self.is_card_kept = await self._source.find(self._get)
        self.card_url = found.url
        # Copies, since this connection and whoever uses it may change theirs.
        self.card = found.card.model_copy(deep=True)
        card = pb.AgentCard()
        card.CopyFrom(found.sdk_card)
        self._choose_interfaces(card)
        self._authenticate(card)
        return card

    async def _get(self, url: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        async with asyncio.timeout(self._place.seconds):  # httpx counts from one byte to the next
            return await self._http.get(url, headers=headers, extensions={http.PAGE: True})

    async def fetch_json(self, url: str) -> Any:
        """Return the JSON at a URL beside the agent; the errors are those of `ask`."""
        with self._translating():
            return (await self._get(url)).raise_for_status().json()

    def _choose_interfaces(self, card: pb.AgentCard) -> None:
        """Leave those of the version and the binding that are asked for.

        Raises:
            RemoteAgentError: There are none. The text names those that there are.
        """
        version, url = self._place.version, self._place.url
        spoken, binding = " or ".join(BINDINGS), self._place.binding
        if binding and binding not in BINDINGS:
            raise RemoteAgentError(f"RemoteAgent speaks {spoken}, and not {binding}.")
        bindings = [binding] if binding else BINDINGS
        chosen = [
            each
            for each in card.supported_interfaces
            if each.protocol_version.startswith(version) and each.protocol_binding in bindings
        ]
        if not chosen:
            wanted, found = f"{binding or spoken} {version}".rstrip(), card.supported_interfaces
            raise RemoteAgentError(
                f"The card has no interface with {wanted}, but: {_named(found)}."
            )
        for each in chosen:
            each.url = urljoin(url, each.url)
            if not _is_of_http(each.url):
                raise RemoteAgentError(f"The card leads to {each.url[:200]!r}, which is no URL.")
        del card.supported_interfaces[:]
        card.supported_interfaces.extend(chosen)
        # The SDK takes the first one that it can.
        self._interface = chosen[0]

    def _authenticate(self, card: pb.AgentCard) -> None:
        """Have each request carry the credentials, unless the card leads to where nobody sent them.

        Raises:
            RemoteAgentError: It does, or they are not what it asks for.
        """
        found = credentials_for(self.card, self._place.credentials)
        if self._place.credentials or self._place.headers:
            for each in card.supported_interfaces:
                self._check_place(httpx.URL(each.url))
        check_sendable(found.headers, "header")
        check_sendable(found.cookies, "cookie")
        self._http.headers.update(found.headers)
        self._http.cookies.update(found.cookies)
        self._transport.query = found.query

    def _check_place(self, url: httpx.URL) -> None:
        if url.scheme != "https" and httpx.URL(self._place.url).scheme == "https":
            raise RemoteAgentError("The card leads from https to http, where all can be read.")
        if _origin(url) not in self._known:
            place = f"{url.scheme}://{url.netloc.decode()}"
            raise RemoteAgentError(
                f"The card leads to {place!r}, and the credentials are not for that host and port: "
                "name them in HOSTS if they are."
            )


def _named(interfaces: Sequence[pb.AgentInterface]) -> str:
    """Name the first interfaces of a card, of which it may have any number, and long ones."""
    named = [
        f"{each.protocol_binding} {each.protocol_version} at {each.url}"[:MOST_CHARACTERS]
        for each in interfaces[:MOST_NAMED]
    ]
    more = len(interfaces) - len(named)
    return ", ".join([*named, f"and {more} more"] if more else named) or "none"


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or DEFAULT_PORTS.get(url.scheme)


def _is_of_http(text: str) -> bool:
    url = httpx.URL(text)
    return url.scheme in ("http", "https") and bool(url.host)


def _json_of(found: Any) -> dict[str, Any]:
    # A page of no tasks has its fields all the same.
    is_page = isinstance(found, pb.ListTasksResponse)
    shown: dict[str, Any] = json_format.MessageToDict(
        found, always_print_fields_with_no_presence=is_page
    )
    return shown


def _event_of(item: pb.StreamResponse) -> StreamResponse:
    try:
        return StreamResponse.from_dict(_json_of(item))
    except protocol.InvalidParamsError as error:
        raise RemoteAgentError(f"An event is none of the protocol: {error.message}") from None


def _translated(error: BaseException) -> BaseException:
    """Return an error of the SDK, or of HTTP, as one of ours."""
    if isinstance(error, A2AError | RemoteAgentError):
        return error
    cause = error.__cause__ if isinstance(error, SdkError) else error
    if isinstance(error, A2AClientTimeoutError | httpx.TransportError | TimeoutError) or isinstance(
        cause, httpx.TransportError
    ):
        is_sent = not isinstance(cause, httpx.ConnectError | httpx.ConnectTimeout)
        return UnreachableError(f"{type(cause).__name__}: {cause}", is_sent=is_sent)
    if isinstance(error, SignatureError):
        return RemoteAgentError(f"The card is not verified: {error}")
    if isinstance(error, NotImplementedError):
        return protocol.UnsupportedOperationError("The agent does not have this operation.")
    ours = getattr(protocol, type(error).__name__, None)
    if isinstance(error, SdkError) and isinstance(ours, type) and issubclass(ours, A2AError):
        return ours(str(error)[:MOST_SAID])
    if isinstance(error, _MALFORMED):
        return RemoteAgentError(f"It is no answer of the protocol: {error}")
    return error
