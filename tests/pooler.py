"""A pooler before PostgreSQL that shares server connections between clients, as PgBouncer does."""

import secrets
import select
import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path
from typing import Literal, Self
from urllib.parse import unquote, urlsplit

from tests.socket_server import SocketServer, shut_down

Mode = Literal["transaction", "session"]
# Type and body; the length between them is not kept.
Message = tuple[bytes, bytes]

VERSION = 196608
"""The protocol 3.0. What asks for encryption instead has a number above it."""
# As PgBouncer: what it can restore for a client on another server connection.
TRACKED = {"user", "database", "client_encoding", "datestyle", "timezone", "application_name"}

# What somebody has set in a session, but for what PgBouncer sets anew for each client: Django may
# set the time zone.
CHANGED = """
    SELECT coalesce(string_agg(name || ' = ' || setting, ', ' ORDER BY name), '')
    FROM pg_settings WHERE source = 'session' AND name <> 'TimeZone'
"""


class Peer:
    """A connection that is read message by message."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._data = b""

    def read(self) -> list[Message]:
        """Wait for bytes, and return the messages that are whole; raise EOFError at the end."""
        data = self.socket.recv(65536)
        if not data:
            raise EOFError
        self._data += data
        messages: list[Message] = []
        while len(self._data) >= 5:
            end = 1 + struct.unpack_from("!I", self._data, 1)[0]
            if len(self._data) < end:
                break
            messages.append((self._data[:1], self._data[5:end]))
            self._data = self._data[end:]
        return messages

    def write(self, *messages: Message) -> None:
        """Send messages."""
        packed = [kind + struct.pack("!I", 4 + len(body)) + body for kind, body in messages]
        self.socket.sendall(b"".join(packed))

    def read_greeting(self) -> bytes:
        """Return the body of a client's first message, and refuse it encryption before that."""
        while True:
            length, version = struct.unpack("!II", self.socket.recv(8, socket.MSG_WAITALL))
            body = self.socket.recv(length - 8, socket.MSG_WAITALL) if length > 8 else b""
            if version == VERSION:
                return body
            if length != 8:
                raise EOFError  # a request to cancel a statement, which nobody waits for
            self.socket.sendall(b"N")


class Pooler(SocketServer):
    """Serves a database on a port of loopback; a context manager.

    Args:
        database_url: The DATABASE_URL of a PostgreSQL, with the path of its socket as the host.
        mode: When another client may get a server connection: after a transaction, or only when
            its client is gone.
        reset: What is done in a session whose client is gone (`server_reset_query`).
        in_turn: How many server connections there are from the beginning, which then are used in
            turn (`min_pool_size`, `server_round_robin`). 0: the last one is used first.
    """

    def __init__(
        self, database_url: str, mode: Mode, *, reset: str = "DISCARD ALL", in_turn: int = 0
    ) -> None:
        super().__init__()
        parts = urlsplit(database_url)
        self._target = str(Path(unquote(parts.netloc.rpartition("@")[2])) / ".s.PGSQL.5432")
        self._greeting = b"user\0postgres\0database\0%s\0\0" % parts.path[1:].encode()
        self._mode = mode
        self._reset_query = reset
        self._in_turn = in_turn
        self._parameters: list[Message] = []
        self._free: list[Peer] = []
        self._lock = threading.Lock()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}{parts.path}"
        """The DATABASE_URL for those who are to go through it."""

    def __enter__(self) -> Self:
        self._free += [self._connect() for _ in range(self._in_turn)]
        return super().__enter__()

    def changes(self) -> list[str]:
        """Wait until all clients are gone, and return what is set in each session."""
        self.wait()
        with self._lock:
            free = list(self._free)
        found = []
        for server in free:
            server.write((b"Q", CHANGED.encode() + b"\0"))
            found += [body[6:].decode() for kind, body in _read_until_ready(server) if kind == b"D"]
        return found

    def serve(self, connection: socket.socket) -> None:
        """Lend server connections to a client."""
        client = Peer(connection)
        server: Peer | None = None
        with suppress(OSError, EOFError, struct.error):
            self._greet(client)
            while True:
                asked = _read_requests(client)
                server = server or self._take()
                _pass_on(client, server, asked, until_free=self._mode == "transaction")
                self._put_back(server)
                server = None
        shut_down(connection)
        if server is not None:
            self._reset(server)

    def _greet(self, client: Peer) -> None:
        """Take a client in, with a process id that is no server's; raise EOFError to refuse it."""
        words = client.read_greeting().split(b"\0")
        unknown = [name.decode() for name in words[:-2:2] if name.decode().lower() not in TRACKED]
        if unknown:
            text = f"unsupported startup parameter: {unknown[0]}"
            client.write((b"E", b"SFATAL\0C08P01\0M%s\0\0" % text.encode()))
            raise EOFError
        self._put_back(self._take())
        key = struct.pack("!I", 2**30 + secrets.randbelow(2**30)) + secrets.token_bytes(4)
        client.write((b"R", bytes(4)), *self._parameters, (b"K", key), (b"Z", b"I"))

    def _take(self) -> Peer:
        """Return a server connection that nobody uses."""
        with self._lock:
            if self._free:
                return self._free.pop(0 if self._in_turn else -1)
        return self._connect()

    def _connect(self) -> Peer:
        server = Peer(self.connect(self._target))
        server.socket.sendall(struct.pack("!II", 8 + len(self._greeting), VERSION) + self._greeting)
        self._parameters = [each for each in _read_until_ready(server) if each[0] == b"S"]
        return server

    def _put_back(self, server: Peer) -> None:
        with self._lock:
            self._free.append(server)

    def _reset(self, server: Peer) -> None:
        """Deal with the server connection of a client that is gone."""
        if self._mode == "transaction":
            shut_down(server.socket)  # the client has left in the middle of one
            return
        for statement in ("ROLLBACK", self._reset_query):
            server.write((b"Q", statement.encode() + b"\0"))
            _read_until_ready(server)
        self._put_back(server)


def _pass_on(client: Peer, server: Peer, asked: list[Message], *, until_free: bool) -> None:
    """Pass messages on, until the client is gone or, if asked to, its transaction is over."""
    unanswered, status = 0, b""
    while True:
        unanswered += sum(kind in (b"Q", b"S") for kind, _ in asked)
        if asked:
            server.write(*asked)
        asked = []
        ready, _, _ = select.select([client.socket, server.socket], [], [])
        if server.socket in ready:
            answers = server.read()
            client.write(*answers)
            ends = [body for kind, body in answers if kind == b"Z"]
            unanswered, status = unanswered - len(ends), (ends or [status])[-1]
            if until_free and not unanswered and status == b"I":
                return
        else:
            asked = _read_requests(client)


def _read_requests(client: Peer) -> list[Message]:
    """Return what a client asks for next; raise EOFError when it says that it leaves."""
    asked = client.read()
    if (b"X", b"") in asked:
        raise EOFError
    return asked


def _read_until_ready(server: Peer) -> list[Message]:
    messages: list[Message] = []
    while not messages or messages[-1][0] != b"Z":
        messages += server.read()
    return messages
