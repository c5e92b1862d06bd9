"""Attack a server as one caller, and measure how long another's small requests take meanwhile.

    python -m benchmarks.attacks [--seconds 5] [--only turns …] [--set NAME=JSON …]

Each attack has a server of its own, and tries what a caller could do to take what others need. An
attack is a function in ATTACKS: it takes an `Attacker`, and goes on until it is cancelled.
"""

import argparse
import asyncio
import base64
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

import httpx

from tests.servers import Process, fresh_database, web_server
from tests.wire import HEADERS, envelope, load_message

SETTINGS = {"ANONYMOUS": "refuse", "AUTHENTICATION": ["tests.bindings.users.by_name"]}
# How long another waits between its requests, and at most for one of them.
PAUSE_SECONDS, PATIENCE_SECONDS = 0.05, 30.0
# How long an attack goes on before another's first request.
LEAD_SECONDS = 1.0
AT_ONCE = 16
MEGABYTE = 1_000_000
WAIT = {"configuration": {"returnImmediately": True}}


class Caller:
    """Speaks JSON-RPC to a server as one owner."""

    def __init__(self, http: httpx.AsyncClient, server: Process, owner: str) -> None:
        self._http, self._url = http, f"{server.url}/a2a/load/"
        self._headers = {**HEADERS, "X-User": owner}

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the answer to a call, be it an error."""
        body = envelope(method, params)
        response = await self._http.post(self._url, json=body, headers=self._headers)
        answer: dict[str, Any] = response.json()
        return answer


Attack: TypeAlias = Callable[[Caller], Awaitable[None]]


async def turns(attacker: Caller) -> None:
    """Send 100 messages to an agent that never answers."""
    messages = [load_message(end="hang") for _ in range(100)]
    await asyncio.gather(*(attacker.ask("SendMessage", message=m, **WAIT) for m in messages))
    await asyncio.Event().wait()


async def turns_without_end(attacker: Caller) -> None:
    """Send such messages without a pause, most of which are refused."""
    await _as_fast_as_possible(
        lambda: attacker.ask("SendMessage", message=load_message(end="hang"), **WAIT)
    )


async def one_task(attacker: Caller) -> None:
    """Send message after message to one task whose agent never answers."""
    first = await attacker.ask("SendMessage", message=load_message(end="hang"), **WAIT)
    task = first["result"]["task"]
    while True:
        message = load_message(end="hang") | {"taskId": task["id"], "contextId": task["contextId"]}
        await attacker.ask("SendMessage", message=message, **WAIT)


async def short_turns(attacker: Caller) -> None:
    """Begin as many short turns as the server takes."""
    await _as_fast_as_possible(
        lambda: attacker.ask("SendMessage", message=load_message(chunks=5), **WAIT)
    )


async def requests(attacker: Caller) -> None:
    """List tasks without a pause."""
    await _as_fast_as_possible(lambda: attacker.ask("ListTasks"))


async def storage(attacker: Caller) -> None:
    """Fill the disk with messages of 9 MB."""
    raw = base64.b64encode(b"x" * 7 * MEGABYTE).decode()
    message = load_message() | {"parts": [{"text": "{}"}, {"raw": raw, "filename": "x"}]}
    while True:
        await attacker.ask("SendMessage", message=message, **WAIT)


async def _as_fast_as_possible(call: Callable[[], Awaitable[Any]]) -> None:
    async def repeat() -> None:
        while True:
            await call()

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(repeat())


async def nothing(attacker: Caller) -> None:
    """Do nothing, to compare with."""
    await asyncio.Event().wait()


ATTACKS: dict[str, Attack] = {
    each.__name__: each
    for each in (nothing, turns, turns_without_end, one_task, short_turns, requests, storage)
}


async def measure(server: Process, attack: Attack, seconds: float) -> list[float]:
    """Return how many seconds each small request of another owner took during an attack."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=PATIENCE_SECONDS, limits=limits) as http:
        task = asyncio.create_task(_go_on(attack, Caller(http, server, "attacker")))
        await asyncio.sleep(LEAD_SECONDS)
        other, taken = Caller(http, server, "other"), []
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            begun = time.monotonic()
            with suppress(httpx.TimeoutException):  # it has taken so long at least
                answer = await other.ask("SendMessage", message=load_message())
                assert "result" in answer, answer
            taken.append(time.monotonic() - begun)
            await asyncio.sleep(PAUSE_SECONDS)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    return taken


async def _go_on(attack: Attack, attacker: Caller) -> None:
    with suppress(httpx.HTTPError):
        await attack(attacker)


def memory_of(server: Process) -> int:
    """Return the most memory that a server has had, in MB."""
    [line] = [
        line
        for line in Path(f"/proc/{server.pid}/status").read_text().splitlines()
        if line.startswith("VmHWM")
    ]
    return int(line.split()[1]) // 1024


@contextmanager
def attacked(database: Any, settings: dict[str, Any]) -> Iterator[Process]:
    """Start a server on a database of its own."""
    with ExitStack() as stack:
        url = stack.enter_context(fresh_database(database))
        server = web_server("uvicorn", database_url=url, **{**SETTINGS, **settings})
        stack.callback(server.kill)
        server.start()
        yield server


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attacks")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--only", nargs="+", choices=ATTACKS, default=list(ATTACKS))
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=JSON")
    options = parser.parse_args()
    settings = {
        name: json.loads(value) for name, _, value in (s.partition("=") for s in options.set)
    }
    print("| attack | requests of another | p50 ms | max ms | memory MB |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name in options.only:
        with attacked(options.database, settings) as server:
            taken = asyncio.run(measure(server, ATTACKS[name], options.seconds))
            p50, most = statistics.median(taken) * 1e3, max(taken) * 1e3
            print(f"| {name} | {len(taken)} | {p50:.0f} | {most:.0f} | {memory_of(server)} |")


if __name__ == "__main__":
    main()
