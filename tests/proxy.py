"""A proxy before PostgreSQL whose connections can be frozen: they stay open, and pass nothing."""

import socket
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote, urlsplit


class Proxy:
    """Passes bytes between its port of loopback and PostgreSQL's socket; a context manager."""

    def __init__(self, database_url: str) -> None:
        """Stand before the PostgreSQL of a DATABASE_URL with the path of its socket as the host."""
        parts = urlsplit(database_url)
        folder = Path(unquote(parts.netloc.rpartition("@")[2]))
        self._target = str(folder / ".s.PGSQL.5432")
        self._server = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._server]
        self._open = threading.Event()
        self._open.set()
        self._closed = False
        port = self._server.getsockname()[1]
        self.url = f"postgresql://postgres@127.0.0.1:{port}{parts.path}"
        """The DATABASE_URL for those who are to go through it."""

    def __enter__(self) -> "Proxy":
        _start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed = True
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def freeze(self, *, new_ones_too: bool = False) -> None:
        """Freeze all connections that are open, and all that come if `new_ones_too`."""
        self._open.clear()
        if not new_ones_too:
            self._open = threading.Event()
            self._open.set()

    def _accept(self) -> None:
        with suppress(OSError):
            while not self._closed:
                near, _ = self._server.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._target)
                self._sockets += [near, far]
                _start(_pass_on, near, far, self._open)
                _start(_pass_on, far, near, self._open)


def _pass_on(source: socket.socket, sink: socket.socket, is_open: threading.Event) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            is_open.wait()
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def _start(work: object, *args: object) -> None:
    threading.Thread(target=work, args=args, daemon=True).start()  # type: ignore[arg-type]  # each is called with its own arguments
