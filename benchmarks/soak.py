"""Mixed traffic with aborted clients, for minutes: what a server has afterwards that it had not.

    python -m benchmarks.soak [--minutes 10] [--server daphne] [--clients 20]

Traffic of the same kind warms the server up first. Before and after the minutes that count nothing
is going on for a while, so that whatever is still held then was leaked. Memory is looked at after
each fifth too: what is leaked grows in each, and what a process keeps in use does not.
"""

import argparse
import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass

import httpx
import psutil
import psycopg
from redis import Redis

from tests.servers import Process, fresh_database, redis_url, web_server
from tests.wire import HEADERS, envelope, load_message

WARM_UP_SECONDS = 120.0
# For longer than idle connections are kept by anybody here.
REST_SECONDS = 20.0
SAMPLE_SECONDS = 5.0
TIMEOUT = 30.0
PATH = "/a2a/load/"


@dataclass(frozen=True)
class Held:
    """What a server holds at one moment."""

    memory_mb: float
    threads: int
    files: int
    """Open file descriptors, sockets among them."""
    database: int
    """Connections of PostgreSQL to its database."""
    layer: int
    """Connections of Redis."""


class Soak:
    """A server, and the clients that send to it."""

    def __init__(self, server: Process, database_url: str) -> None:
        self._server = server
        self._process = psutil.Process(server.pid)
        self._database_url = database_url
        self._redis = Redis.from_url(redis_url())
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self._acts: list[Callable[[httpx.AsyncClient], Awaitable[None]]] = [
            self.sends, self.streams, self.leaves_a_stream, self.leaves_a_wait, self.lists,
            self.is_refused, self.breaks_off_a_body,
        ]  # fmt: skip  # as one list

    def held(self) -> Held:
        """Return what the server holds now."""
        with psycopg.connect(self._database_url, autocommit=True) as connection:
            [[database]] = connection.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchall()
        with self._process.oneshot():
            return Held(
                self._process.memory_info().rss / 1e6,
                self._process.num_threads(),
                self._process.num_fds(),
                database,
                len(self._redis.client_list()) - 1,  # without this one
            )

    async def run(self, seconds: float, clients: int) -> Held:
        """Let clients send for so long; return the most that was held meanwhile of each."""
        end = time.monotonic() + seconds
        peak = self.held()
        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(self._client(end))
            while time.monotonic() < end:
                await asyncio.sleep(min(SAMPLE_SECONDS, max(0.0, end - time.monotonic())))
                peak = most_of([peak, await asyncio.to_thread(self.held)])
        return peak

    async def _client(self, end: float) -> None:
        """Do one thing after the other; each third one with a new connection."""
        while time.monotonic() < end:
            async with httpx.AsyncClient(base_url=self._server.url, timeout=TIMEOUT) as http:
                for act in random.choices(self._acts, k=3):
                    self.done[act.__name__] += 1
                    try:
                        await act(http)
                    except (httpx.HTTPError, AssertionError) as error:
                        self.failed[f"{act.__name__}: {type(error).__name__}"] += 1

    async def sends(self, http: httpx.AsyncClient) -> None:
        """Send a message, and wait for the answer."""
        await _call(http, "SendMessage", {"message": load_message(chunks=5)})

    async def lists(self, http: httpx.AsyncClient) -> None:
        """List tasks, and get one that is not there."""
        await _call(http, "ListTasks", {"pageSize": 20})

    async def streams(self, http: httpx.AsyncClient) -> None:
        """Read a stream to its end."""
        async with _open(http, load_message(chunks=20, delay=0.02)) as response:
            async for _ in response.aiter_bytes():
                pass

    async def leaves_a_stream(self, http: httpx.AsyncClient) -> None:
        """Read the beginning of a stream, and go away."""
        async with _open(http, load_message(chunks=50, delay=0.05)) as response:
            async for _ in response.aiter_bytes():
                return

    async def leaves_a_wait(self, http: httpx.AsyncClient) -> None:
        """Send a message, and go away before the answer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await _call(http, "SendMessage", {"message": load_message(chunks=20, delay=0.05)})

    async def is_refused(self, http: httpx.AsyncClient) -> None:
        """Send what is no JSON, and ask for what is not there."""
        assert (await http.post(PATH, content=b"{", headers=HEADERS)).status_code < 500
        assert (await http.get("/a2a/nobody/.well-known/agent-card.json")).status_code == 404

    async def breaks_off_a_body(self, http: httpx.AsyncClient) -> None:
        """Go away in the middle of a request."""
        _, writer = await asyncio.open_connection(http.base_url.host, http.base_url.port)
        head = f"POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: 1000\r\n\r\n{{".encode())
        await writer.drain()
        writer.close()


async def _call(http: httpx.AsyncClient, method: str, params: dict[str, object]) -> None:
    response = await http.post(PATH, json=envelope(method, params), headers=HEADERS)
    assert "result" in response.json(), response.text


def _open(http: httpx.AsyncClient, message: dict[str, object]):  # type: ignore[no-untyped-def]  # httpx's own
    body = envelope("SendStreamingMessage", {"message": message})
    return http.stream("POST", PATH, json=body, headers=HEADERS)


def most_of(samples: list[Held]) -> Held:
    """Return the most that there is of each in samples."""
    return Held(
        **{name: max(asdict(each)[name] for each in samples) for name in asdict(samples[0])}
    )


def table(before: Held, most: Held, after: Held) -> str:
    """Return the table of what was held."""
    lines = ["| | before | at most | after |", "| --- | ---: | ---: | ---: |"]
    for name in asdict(before):
        figures = (f"{getattr(held, name):,.0f}" for held in (before, most, after))
        lines.append(f"| {name.replace('_mb', ', MB')} | {' | '.join(figures)} |")
    return "\n".join(lines)


async def soak(server: Process, database_url: str, seconds: float, clients: int) -> None:
    """Warm up, rest, run and rest, and print what was held."""
    made = Soak(server, database_url)
    await made.run(WARM_UP_SECONDS, clients)
    await asyncio.sleep(REST_SECONDS)
    before = made.held()
    made.done.clear()
    fifths = []
    for _ in range(5):
        fifths.append(await made.run(seconds / 5, clients))
        await asyncio.sleep(REST_SECONDS)
        fifths.append(made.held())
    print(table(before, most_of(fifths), fifths[-1]))
    print("\nMemory after each fifth, MB:", *(f"{held.memory_mb:,.0f}" for held in fifths[1::2]))
    print(f"\n{made.done.total():,} requests: {dict(made.done)}; failed: {dict(made.failed)}")


def main() -> None:
    """Start a server, and let it soak."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--server", choices=["daphne", "uvicorn"], default="daphne")
    given = parser.parse_args()
    with fresh_database("postgresql") as url:
        server = web_server(given.server, database_url=url, layer="redis")
        try:
            server.start()
            asyncio.run(soak(server, url, given.minutes * 60, given.clients))
        finally:
            server.kill()


if __name__ == "__main__":
    main()
