"""A server of sockets in threads of the test's process, of which nothing is left when it ends."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Self

SECONDS = 20


class SocketServer:
    """Listens on loopback, and serves each connection in a thread; a context manager.

    In the end it shuts all sockets down, which their threads notice, and closes them when no thread
    is left. The number of a socket that was closed under a thread may be another file's by then.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._sockets = [self._listener]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]
        """Where it listens."""

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shut_down(self._listener)
        _join(self._acceptor)
        for each in self._sockets:
            shut_down(each)
        self.wait()
        for each in self._sockets:
            each.close()

    def serve(self, connection: socket.socket) -> None:
        """Serve a connection, in a thread, until OSError or EOFError ends it."""
        raise NotImplementedError

    def connect(self, path: str) -> socket.socket:
        """Connect to a socket of this machine, until the server ends."""
        connection = socket.socket(socket.AF_UNIX)
        self._sockets.append(connection)
        connection.connect(path)
        return connection

    def start(self, work: Callable[[], None]) -> None:
        """Do something in a thread, which OSError and EOFError may end."""
        thread = threading.Thread(target=_do, args=[work], daemon=True)
        thread.start()
        self._threads.append(thread)

    def wait(self) -> None:
        """Wait until all that was started has ended, and no connection is served any more."""
        _join(*self._threads)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._sockets.append(connection)
                self.start(partial(self.serve, connection))


def shut_down(connection: socket.socket) -> None:
    """Let both sides of a connection, and whoever waits for it here, find its end."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _do(work: Callable[[], None]) -> None:
    with suppress(OSError, EOFError):
        work()


def _join(*threads: threading.Thread) -> None:
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive(), "A thread goes on with its connection."
