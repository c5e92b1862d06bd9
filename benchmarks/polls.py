"""Measure what a GetTask costs while it waits for a newer task, and race messages for one number.

    python -m benchmarks.polls [--polls 500] [--races 1000]

Each poll is a connection of its own, of a task that hangs. A few come first, so that what the first
ones load is not counted. Then the task is canceled, and all polls have to be answered. After that
two clients answer the same question, with the same generation, again and again: one is taken.
"""

import argparse
import asyncio
import json
import time
from collections import Counter
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlsplit

import httpx
import psutil

from tests.clients.sockets import SocketClient
from tests.servers import Process, fresh_database, web_server
from tests.wire import envelope, load_message

# Both are kept: a writer that is forgotten closes its connection.
Connection: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]
FEW = 50
SECONDS = 120.0
# Beyond which a connection has only to wait.
SETTLE_SECONDS, WATCH_SECONDS = 3.0, 5.0
SETTINGS: dict[str, Any] = {
    "DRAFTS": ["1.1"],
    "LONG_POLL_SECONDS": 600,
    "STREAMS_PER_OWNER": 0,
    # So long that no heartbeat comes meanwhile: it has a connection of its own, one for all.
    "LEASE_SECONDS": 600,
    "WAITING_TURNS_PER_TASK": 0,
    "PROTOCOL_VERSIONS": ["1.1", "1.0"],
}


class Usage(NamedTuple):
    """What a server holds."""

    threads: int
    connections: int
    """With the database, which is a file of SQLite."""
    memory: int


def usage_of(served: Process, database_url: str) -> Usage:
    """Return what a server holds now."""
    process = psutil.Process(served.pid)
    files = [file.path for file in process.open_files()]
    return Usage(
        threads=process.num_threads(),
        connections=files.count("/" + database_url.partition("://")[2].lstrip("/")),
        memory=process.memory_info().rss,
    )


async def poll(served: Process, task_id: str) -> Connection:
    """Ask for a task that is newer than it will ever be, on a bare socket."""
    body = json.dumps(envelope("GetTask", {"id": task_id})).encode()
    head = (
        "POST /a2a/load/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"A2A-Version: 1.0\r\nA2A-Current-Generation: 999\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(served.url).port)
    writer.write(head.encode() + body)
    await writer.drain()
    return reader, writer


async def measure_polls(served: Process, url: str, count: int) -> None:
    """Print what polls take of a server, and how soon all of them are answered."""
    async with SocketClient(served.url) as client:
        task = await client.send(load_message(end="hang"), returnImmediately=True)
        waiting = [await poll(served, task["id"]) for _ in range(FEW)]
        await asyncio.sleep(SETTLE_SECONDS)
        few = usage_of(served, url)
        waiting += [await poll(served, task["id"]) for _ in range(count - FEW)]
        await asyncio.sleep(SETTLE_SECONDS)
        many = usage_of(served, url)
        process = psutil.Process(served.pid)
        before = sum(process.cpu_times()[:2])
        await asyncio.sleep(WATCH_SECONDS)
        spent = sum(process.cpu_times()[:2]) - before
        began = time.perf_counter()
        await client.result("CancelTask", id=task["id"])
        answers = await asyncio.gather(*[reader.readuntil(b"\r\n\r\n") for reader, _ in waiting])
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
    kilobytes = (many.memory - few.memory) / 1024 / (count - FEW)
    print(f"{count} polls, against {FEW}: {many.threads - few.threads} threads more,")
    print(f"{many.connections - few.connections} connections more, {kilobytes:.0f} KB each,")
    print(f"{spent / WATCH_SECONDS * 100:.1f} % of a core while nothing happens.")
    print(f"All are answered {time.perf_counter() - began:.2f} s after the task has ended.")


async def race(served: Process, rounds: int) -> None:
    """Print how many of the messages that race are taken."""
    outcomes: Counter[str] = Counter()
    async with httpx.AsyncClient(base_url=served.url, timeout=SECONDS) as http:

        async def ask(method: str, params: dict[str, Any], **headers: str) -> dict[str, Any]:
            named = {"A2A-Version": "1.1", **headers}
            response = await http.post("/a2a/load/", json=envelope(method, params), headers=named)
            answer: dict[str, Any] = response.json()
            return answer

        # The task grows, and its answers need not.
        short = {"historyLength": 0}
        message = load_message(end="input-required")
        task = (await ask("SendMessage", {"message": message}))["result"]["task"]
        for _ in range(rounds):
            generation = (await ask("GetTask", {"id": task["id"], **short}))["result"]["generation"]
            configuration = {"ifGenerationMatch": generation, **short}
            params = [
                {
                    "message": {**load_message(end="input-required"), "taskId": task["id"]},
                    "configuration": configuration,
                }
                for _ in range(2)
            ]
            answers = await asyncio.gather(*[ask("SendMessage", each) for each in params])
            codes = sorted(each.get("error", {}).get("code", 0) for each in answers)
            outcomes["one is taken" if codes == [-32010, 0] else str(codes)] += 1
    print(f"Of {rounds} races of two messages: {dict(outcomes)}.")


async def main(arguments: argparse.Namespace) -> None:
    """Measure, with a server for each part."""
    for work in ("polls", "races"):
        with fresh_database("sqlite") as url:
            served = web_server("daphne", database_url=url, **SETTINGS)
            served.start()
            try:
                async with asyncio.timeout(3600):
                    if work == "polls":
                        await measure_polls(served, url, arguments.polls)
                    else:
                        await race(served, arguments.races)
            finally:
                served.kill()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--polls", type=int, default=500)
    parser.add_argument("--races", type=int, default=1000)
    asyncio.run(main(parser.parse_args()))
