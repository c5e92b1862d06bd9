"""A running site from outside: its card, and how its endpoint answers those whom it should refuse.

Nothing is changed there: the requests ask for a task that cannot exist.
"""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx

from a2a_app import protocol
from a2a_app.bindings.interfaces import GRPC, WEBSOCKET
from a2a_app.management.doctor import Finding

SECONDS = 15.0
# Slower than this, something in front of the server has to be looked at.
SLOW_SECONDS = 1.0
CARD_PATH = "/.well-known/agent-card.json"
BINDING = "JSONRPC"
_HERE = ("localhost", "127.0.0.1", "::1")


class SiteExamination:
    """The examination of one agent of a site."""

    def __init__(self, client: httpx.Client, url: str, *, agent: str = "", key: str = "") -> None:
        """Prepare it.

        Args:
            client: The client, which verifies certificates.
            url: Scheme and host of the site, with the path before its URLs of A2A if there is one.
            agent: The slug of the agent; empty for the site's.
            key: A bearer token that the site accepts; empty for none.
        """
        self._client = client
        self._card_url = url.rstrip("/") + (f"/a2a/{agent}" if agent else "") + CARD_PATH
        self._key = key
        self.card: protocol.AgentCard | None = None
        """The card, once it was fetched."""
        self.endpoint = ""
        """The URL of the JSON-RPC binding, once it is known."""

    def findings(self) -> Iterator[Finding]:
        """Look at one thing after the other, and yield what is found."""
        yield from self._transport("the site", self._card_url)
        yield from self._fetch_card()
        if self.card is None:
            return
        yield from self._signature(self.card)
        yield from self._interfaces(self.card)
        if self.endpoint:
            yield from self._errors()
            yield from self._strangers(self.card)
            if self._key:
                yield from self._holder()
        yield from self._grpc(self.card)

    def call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Return the envelope of a call of JSON-RPC, with an id."""
        return {"jsonrpc": "2.0", "id": str(uuid4()), "method": method, "params": params}

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a request by whoever holds the key."""
        version = {protocol.VERSION_HEADER: protocol.VERSION}
        return version | ({"Authorization": f"Bearer {self._key}"} if self._key else {})

    def _transport(self, subject: str, url: str) -> Iterator[Finding]:
        parts = urlsplit(url)
        if parts.scheme == "https":
            yield Finding("TLS", "good", f"{subject.capitalize()} is served over https.")
        elif parts.hostname in _HERE:
            yield Finding("TLS", "note", f"{subject.capitalize()} is on this machine, without TLS.")
        else:
            text = f"{url} is not https: keys and messages can be read on the way."
            yield Finding("TLS", "fault", text)

    def _fetch_card(self) -> Iterator[Finding]:
        begun = time.monotonic()
        try:
            response = self._client.get(self._card_url)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            text = f"{self._card_url} cannot be fetched: {type(error).__name__}: {error}."
            yield Finding("card", "fault", text)
            return
        took = time.monotonic() - begun
        if response.status_code != HTTPStatus.OK:
            text = f"{self._card_url} answers {response.status_code}."
            if response.status_code == HTTPStatus.NOT_FOUND:
                text += " Name an agent with --agent, or set A2A['DEFAULT_AGENT']."
            yield Finding("card", "fault", text)
            return
        try:
            self.card = protocol.AgentCard.from_dict(response.json())
        except (ValueError, protocol.A2AError) as error:
            yield Finding("card", "fault", f"{self._card_url} is no valid card: {error}.")
            return
        text = f"The card of {self.card.name!r} is valid. It took {took:.2f} s."
        yield Finding("card", "warning" if took > SLOW_SECONDS else "good", text)

    def _signature(self, card: protocol.AgentCard) -> Iterator[Finding]:
        if not card.signatures:
            yield Finding("signature", "note", "The card is not signed.")
            return
        try:
            from a2a_app.agents.signing import SignatureError  # loaded here: needs an extra
            from a2a_app.management.verification import verify_card  # loaded here: as above
        except ImportError:
            text = "The card is signed. To verify it takes the extra 'signing'."
            yield Finding("signature", "note", text)
            return
        try:
            verify_card(self._card_url)
        except SignatureError as error:
            yield Finding("signature", "fault", f"The signature is not valid: {error}.")
        else:
            yield Finding("signature", "good", "The signature is valid, by the site's own keys.")

    def _interfaces(self, card: protocol.AgentCard) -> Iterator[Finding]:
        here = urlsplit(self._card_url)
        for interface in card.supported_interfaces:
            if interface.protocol_binding == GRPC:
                continue  # It has no scheme, and may well be elsewhere.
            url, is_socket = interface.url, interface.protocol_binding == WEBSOCKET
            there = urlsplit(url.replace("ws", "http", 1) if is_socket else url)
            if there.scheme != here.scheme and there.scheme != "https":
                text = (
                    f"The card says {interface.url}, though it came over {here.scheme}: set "
                    "A2A['PUBLIC_URL'], or SECURE_PROXY_SSL_HEADER."
                )
                yield Finding("URLs", "fault", text)
            elif there.netloc != here.netloc:
                text = f"The card leads to another host, {there.netloc}: is it A2A['PUBLIC_URL']?"
                yield Finding("URLs", "warning", text)
            is_ours = interface.protocol_binding == BINDING
            if is_ours and interface.protocol_version == protocol.VERSION:
                self.endpoint = self.endpoint or interface.url
        if not self.endpoint:
            yield Finding("endpoint", "fault", "The card has no URL of JSON-RPC in version 1.0.")

    def _errors(self) -> Iterator[Finding]:
        """Send what is no JSON: what answers in JSON-RPC is the app, and no proxy or page."""
        code, status, _ = self._post(b"{", self.headers)
        if code == protocol.JSONParseError.code or status == HTTPStatus.UNAUTHORIZED:
            yield Finding("endpoint", "good", f"{self.endpoint} answers in JSON-RPC.")
        else:
            text = f"{self.endpoint} answers {status}, and not as an A2A server does."
            yield Finding("endpoint", "fault", text)

    def _strangers(self, card: protocol.AgentCard) -> Iterator[Finding]:
        """Ask for a task without credentials."""
        headers = {protocol.VERSION_HEADER: protocol.VERSION}
        code, status, challenge = self._post(self._unknown_task(), headers)
        needs_key = bool(card.security_requirements) and all(
            requirement.schemes for requirement in card.security_requirements
        )
        if status == HTTPStatus.UNAUTHORIZED:
            if not challenge:
                text = "The 401 has no WWW-Authenticate: does a proxy remove it?"
                yield Finding("strangers", "fault", text)
            elif not needs_key:
                text = "Strangers are refused, and the card does not say which credentials to use."
                yield Finding("strangers", "warning", text)
            else:
                yield Finding("strangers", "good", "Strangers are refused, as the card says.")
        elif needs_key:
            text = f"The card asks for credentials, but a stranger gets {code or status}."
            yield Finding("strangers", "fault", text)
        else:
            text = "Strangers are let in. Is A2A['ANONYMOUS'] meant to be 'share'?"
            yield Finding("strangers", "warning", text)

    def _holder(self) -> Iterator[Finding]:
        """Ask for a task with the key."""
        code, status, _ = self._post(self._unknown_task(), self.headers)
        if code == protocol.TaskNotFoundError.code:
            yield Finding("key", "good", "The key is accepted.")
        else:
            text = f"The key is refused: {code or status}. Does a proxy remove Authorization?"
            yield Finding("key", "fault", text)

    def _grpc(self, card: protocol.AgentCard) -> Iterator[Finding]:
        """Look at the interface of gRPC in version 1.0, if there is one."""
        wanted = (GRPC, protocol.VERSION)
        listed = [
            each
            for each in card.supported_interfaces
            if (each.protocol_binding, each.protocol_version) == wanted
        ]
        if not listed:
            return
        try:
            from a2a_app.management.doctor.grpc_interface import examine_grpc  # needs an extra
        except ImportError:
            text = "The card lists gRPC. To look at it takes the extra 'grpc'."
            yield Finding("gRPC", "note", text)
            return
        yield from examine_grpc(listed[0], self._key)

    def _unknown_task(self) -> dict[str, Any]:
        return self.call("GetTask", {"id": str(uuid4())})

    def _post(self, body: bytes | dict[str, Any], headers: dict[str, str]) -> tuple[int, int, str]:
        """Return the code of the error in the answer, 0 for none, its status and its challenge."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        typed = {"Content-Type": "application/json", **headers}
        try:
            response = self._client.post(self.endpoint, headers=typed, content=content)
        except (httpx.HTTPError, httpx.InvalidURL):
            return 0, 0, ""
        code = 0
        with suppress(ValueError, KeyError, TypeError):
            code = int(response.json()["error"]["code"])
        return code, response.status_code, response.headers.get("WWW-Authenticate", "")
