"""Measure how long others wait while one client sends bodies of 10 MB, one after the other.

    python -m benchmarks.bodies [daphne | uvicorn] [seconds]

For each kind of body a server on SQLite is started. Another client asks for a task all the time,
and the table says how long that takes.
"""

import asyncio
import base64
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, Literal, cast

import httpx

from tests.servers import Process, fresh_database, web_server
from tests.wire import HEADERS, UNKNOWN_TASK, envelope, message

SIZE = 10_000_000
PAUSE_SECONDS = 0.02
TIMEOUT_SECONDS = 60.0
SMALL = json.dumps(envelope("GetTask", {"id": UNKNOWN_TASK})).encode()


def _filled(unit: bytes) -> bytes:
    return unit * (SIZE // len(unit))


def _sent(part: dict[str, Any]) -> bytes:
    """Return the body of a message that is answered as soon as it is stored."""
    params = {
        "message": message() | {"parts": [part]},
        "configuration": {"returnImmediately": True},
    }
    return json.dumps(envelope("SendMessage", params)).encode()


def _with_data(array: bytes) -> bytes:
    return _sent({"data": "HERE", "mediaType": "text/plain"}).replace(b'"HERE"', array)


# By what is in it: who sends it, and the body.
BODIES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "nothing": ("nobody", lambda: b""),
    "arrays, cut off": ("nobody", lambda: b"[" + _filled(b"[],")),
    "objects, cut off": ("nobody", lambda: b"[" + _filled(b"{},")),
    "arrays": ("a caller", lambda: _with_data(b"[" + _filled(b"[],") + b"[]]")),
    "objects": ("a caller", lambda: _with_data(b"[" + _filled(b"{},") + b"{}]")),
    "strings": ("a caller", lambda: _with_data(b"[" + _filled(b'"",') + b'""]')),
    "99,000 values": ("a caller", lambda: _with_data(json.dumps([0] * 99_000).encode())),
    "a text of commas": ("a caller", lambda: _sent({"text": "," * SIZE})),
    "a file": ("a caller", lambda: _sent({"raw": _base64()})),
}


def _base64() -> str:
    return base64.b64encode(bytes(SIZE * 3 // 4 - 1_000)).decode()


def _client(server: Process) -> httpx.AsyncClient:
    headers = {**HEADERS, "Content-Type": "application/json"}
    return httpx.AsyncClient(base_url=server.url, headers=headers, timeout=TIMEOUT_SECONDS)


async def _attack(client: httpx.AsyncClient, body: bytes, until: float) -> str:
    """Send a body again and again; return how often, and the status of the last answer."""
    if not body:
        return ""
    for sent in count(1):
        answer = await client.post("/a2a/load/", content=body)
        if time.monotonic() > until:
            return f"{sent} times {answer.status_code}"
    raise AssertionError  # count() does not end


async def _ask(client: httpx.AsyncClient, until: float) -> list[float]:
    """Ask for a task again and again; return how many milliseconds each time took."""
    taken = []
    while time.monotonic() < until:
        before = time.monotonic()
        await client.post("/a2a/load/", content=SMALL)
        taken.append((time.monotonic() - before) * 1000)
        await asyncio.sleep(PAUSE_SECONDS)
    return taken


async def _measure(server: Process, body: bytes, seconds: float) -> tuple[str, list[float]]:
    async with _client(server) as one, _client(server) as another:
        await _ask(another, time.monotonic() + 1)
        until = time.monotonic() + seconds
        attacks, taken = await asyncio.gather(_attack(one, body, until), _ask(another, until))
        return attacks, taken


def rows(kind: Literal["daphne", "uvicorn"], seconds: float) -> Iterator[str]:
    """Measure each kind of body, and return the rows of the table."""
    yield "| body | from | answered | another's request, median | at most |"
    yield "| --- | --- | --- | ---: | ---: |"
    for name, (sender, make) in BODIES.items():
        anonymous: dict[str, Any] = {"ANONYMOUS": "refuse" if sender == "nobody" else "share"}
        with fresh_database("sqlite") as url:
            server = web_server(kind, database_url=url, **anonymous)
            server.start()
            try:
                attacks, taken = asyncio.run(_measure(server, make(), seconds))
            finally:
                server.kill()
        median, most = statistics.median(taken), max(taken)
        yield f"| {name} | {sender} | {attacks} | {median:.0f} ms | {most:.0f} ms |"


if __name__ == "__main__":
    kind = cast("Literal['daphne', 'uvicorn']", [*sys.argv, "uvicorn"][1])
    for row in rows(kind, float([*sys.argv[2:], "6"][0])):
        print(row, flush=True)
