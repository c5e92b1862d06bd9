"""The machine's resolver, which answers as a test wants it to for the names that tests use."""

import socket
from collections.abc import Callable
from typing import Any

import pytest

OURS = (".example", ".example.com")


def resolve_by(monkeypatch: pytest.MonkeyPatch, answer: Callable[[str], list[str]]) -> None:
    """Have names below `example` and `example.com` answered by a function, on the thread that asks.

    Args:
        monkeypatch: The test's.
        answer: Takes a name, and returns its IPv4 addresses or raises.
    """
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if not (isinstance(host, str) and host.endswith(OURS)):
            return real(host, port, *args, **options)
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*kind, (each, port)) for each in answer(host)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
