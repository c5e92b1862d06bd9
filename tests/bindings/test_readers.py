"""The reader of a response on servers that are neither daphne nor uvicorn (R5)."""

import asyncio
import logging
import sys
from functools import partial
from types import ModuleType
from typing import Any

import pytest

from a2a_app.bindings import readers
from a2a_app.bindings.readers import Reader, SocketReader
from tests.conftest import ChangeSettings

PIECE = {"type": "http.response.body", "body": b"x", "more_body": True}
END = {"type": "http.response.body", "body": b""}


async def test_a_client_that_takes_nothing_is_cut_off_by_an_error_where_nothing_else_does_it(
    a2a: ChangeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    a2a(READER_SECONDS=0.02)

    async def send(message: dict[str, Any]) -> None:
        await asyncio.Event().wait()

    reader = Reader(send, send, ("192.0.2.1", 4000))
    with pytest.raises(ConnectionAbortedError):
        await reader.send(PIECE)
    assert "Cut off ('192.0.2.1', 4000), which took nothing for 0.02 seconds." in caplog.text
    # What is sent to it after that goes nowhere.
    await reader.send(PIECE)
    await reader.send(END)


async def test_a_client_that_reads_gets_every_piece_as_it_is() -> None:
    sent = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    reader = Reader(send, send, None)
    for message in (PIECE, PIECE, END):
        await reader.send(message)
    assert sent == [PIECE, PIECE, END]


class Channel:
    """A connection, as far as a request of Twisted's shows it."""


class Request:
    """A request of Twisted's that notes its producer."""

    def __init__(self) -> None:
        self.channel = Channel()
        self.producer: Any = None

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # Twisted's name
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:  # Twisted's name
        self.producer = None


async def test_on_daphne_a_piece_waits_while_the_connection_is_full_and_the_end_lets_go_of_it() -> (
    None
):
    request, sent = Request(), []

    async def handle_reply(to: Request, message: dict[str, Any]) -> None:
        sent.append(message)

    send = partial(handle_reply, request)
    reader = Reader(send, send, None)
    await reader.send(PIECE)
    request.producer.pauseProducing()
    sending = asyncio.create_task(reader.send(PIECE))
    await asyncio.wait([sending], timeout=0.05)
    assert len(sent) == 1
    request.producer.resumeProducing()
    await sending
    await reader.send(END)
    assert sent == [PIECE, PIECE, END] and request.producer is None


class Transport:
    """A connection of Twisted's that notes whether it is read."""

    is_read = True

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # Twisted's name
        """Take a producer."""

    def unregisterProducer(self) -> None:  # Twisted's name
        """Let go of the producer."""

    def pauseProducing(self) -> None:  # Twisted's name
        self.is_read = False

    def resumeProducing(self) -> None:  # Twisted's name
        self.is_read = True


class Socket:
    """A WebSocket of daphne's."""

    def __init__(self) -> None:
        self.transport = Transport()


async def test_daphne_takes_nothing_from_a_client_that_has_to_read_first() -> None:
    async def handle_reply(to: Socket, message: dict[str, Any]) -> None:
        """Take a reply."""

    connection = Socket()
    with SocketReader(partial(handle_reply, connection), None).unread():
        assert not connection.transport.is_read
    assert connection.transport.is_read


async def test_the_log_says_once_that_the_connection_of_daphne_is_hidden(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "daphne.server", ModuleType("daphne.server"))
    monkeypatch.setattr(readers, "_warned", False)

    async def wrapped(message: dict[str, Any]) -> None:
        return None

    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            await Reader(wrapped, wrapped, None).send(PIECE)
    assert caplog.text.count("Cannot see how much of a response daphne has sent") == 1
