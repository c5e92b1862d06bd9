"""A proxy before PostgreSQL that does to connections what networks, balancers and failovers do."""

import socket
import threading
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote, urlsplit

from tests.socket_server import SocketServer, shut_down

SECONDS = 20


class Proxy(SocketServer):
    """Passes bytes between its port of loopback and PostgreSQL's socket; a context manager."""

    def __init__(self, database_url: str) -> None:
        """Stand before the PostgreSQL of a DATABASE_URL with the path of its socket as the host."""
        super().__init__()
        parts = urlsplit(database_url)
        folder = Path(unquote(parts.netloc.rpartition("@")[2]))
        self._target = str(folder / ".s.PGSQL.5432")
        self._links: list[_Link] = []
        self._open = threading.Event()
        self._open.set()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}{parts.path}"
        """The DATABASE_URL for those who are to go through it."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.set()
        for link in self._links:
            link.end()
        super().__exit__(kind, error, trace)

    @property
    def opened(self) -> int:
        """How many connections there have been."""
        return len(self._links)

    @property
    def heard(self) -> int:
        """How often those who go through it have said something."""
        return sum(link.heard for link in self._links)

    def freeze(self, *, new_ones_too: bool = False) -> None:
        """Freeze all connections that are open, and all that come if `new_ones_too`."""
        self._open.clear()
        if not new_ones_too:
            self._open = threading.Event()
            self._open.set()

    def forget(self) -> None:
        """Forget all connections: each is cut off once somebody says something over it."""
        for link in self._links:
            link.is_forgotten = True

    def keep_answers(self) -> None:
        """Cut off all connections once PostgreSQL has done what it is asked next, unheard."""
        for link in self._links:
            link.keeps_answers = True

    def wait_until_cut(self) -> None:
        """Return once no connection is open."""
        for link in self._links:
            assert link.is_cut.wait(SECONDS)

    def serve(self, near: socket.socket) -> None:
        """Connect a client to PostgreSQL, and pass on what they say."""
        try:
            link = _Link(near, self.connect(self._target), self._open)
        except OSError:  # PostgreSQL is away, and takes nobody
            shut_down(near)
            return
        self._links.append(link)
        self.start(link.answer)
        link.ask()


class _Link:
    """One connection, with a socket on either side."""

    def __init__(self, near: socket.socket, far: socket.socket, is_open: threading.Event) -> None:
        self._near, self._far, self._open = near, far, is_open
        self.heard = 0
        self.is_forgotten = self.keeps_answers = False
        self.is_cut = threading.Event()

    def ask(self) -> None:
        try:
            while data := self._near.recv(65536):
                self.heard += 1
                self._open.wait()
                if self.is_forgotten:
                    break
                self._far.sendall(data)
        finally:
            self._cut()

    def answer(self) -> None:
        try:
            while data := self._far.recv(65536):
                self._open.wait()
                if self.keeps_answers:
                    break
                self._near.sendall(data)
        finally:
            self._cut()

    def end(self) -> None:
        """Pass on nothing more, whatever waits to be."""
        self.is_forgotten = self.keeps_answers = True
        self._open.set()

    def _cut(self) -> None:
        shut_down(self._near)
        shut_down(self._far)
        self.is_cut.set()
