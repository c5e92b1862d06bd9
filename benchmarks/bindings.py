"""Compare what a message costs over each binding, and over the official SDK's gRPC.

    python -m benchmarks.bindings [--rounds 5] [--messages 100]

All servers run at the same time, on databases of SQLite of their own, and are asked in turn. What
counts is the time that the server's process computes, so other work on the machine matters little.
"""

import argparse
import asyncio
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from statistics import median
from typing import Any, NamedTuple, TypeAlias

import grpc
import httpx
import psutil
from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import ParseDict

from tests.clients.grpc import GrpcClient
from tests.servers import Process, free_port, fresh_database, grpc_server, web_server
from tests.wire import envelope, load_message

CHUNKS, CLIENTS, FEW = 20, 4, 10
SECONDS = 120.0
HEADERS = {"A2A-Version": "1.0"}
SDK = "SDK, gRPC"
METHODS = ("SendMessage", "SendStreamingMessage")
Taken: TypeAlias = dict[tuple[str, str], list[float]]
"""The milliseconds of each round, by the name of a way and the method."""
Ask: TypeAlias = Callable[[str], Awaitable[None]]
"""Sends one message: by `SendMessage`, or by `SendStreamingMessage`, which it reads to its end."""


class Way(NamedTuple):
    """One server and binding."""

    name: str
    process: Process
    ask: Ask


def params_of(method: str) -> dict[str, Any]:
    """Return what is sent: a message for a blocking answer, or for a stream of chunks."""
    return {"message": load_message(chunks=1 if method == "SendMessage" else CHUNKS)}


def over_grpc(channel: grpc.aio.Channel, agent: str) -> Ask:
    """Return what asks a server of gRPC."""
    client = GrpcClient(channel, agent)

    async def ask(method: str) -> None:
        asked = ParseDict(params_of(method), pb.SendMessageRequest())
        if method == "SendMessage":
            ended = (await client.call(method, asked)).task
        else:
            async for item in client.stream(method, asked):
                ended = item.status_update
        assert ended.status.state == pb.TASK_STATE_COMPLETED

    return ask


def over_http(http: httpx.AsyncClient, binding: str) -> Ask:
    """Return what asks a server of HTTP, on connections that stay open."""

    async def ask(method: str) -> None:
        path, body = "/a2a/load/", envelope(method, params_of(method))
        if binding == "HTTP+JSON":
            verb = "send" if method == "SendMessage" else "stream"
            path, body = f"/a2a/load/message:{verb}", params_of(method)
        response = await http.post(path, json=body, headers=HEADERS)
        assert "TASK_STATE_COMPLETED" in response.text, response.text[-300:]

    return ask


async def ways(stack: AsyncExitStack) -> list[Way]:
    """Start all servers, and return the ways to ask them."""
    started = stack.enter_context(ExitStack())
    where = f"127.0.0.1:{free_port()}"
    url = started.enter_context(fresh_database("sqlite"))
    web = web_server("daphne", database_url=url, GRPC_URL=where, STREAMS_PER_OWNER=0)
    web.command += ["--verbosity", "0"]
    ours, theirs = grpc_server(web), sdk_server(started.enter_context(fresh_database("sqlite")))
    for process in (web, ours, theirs):
        started.callback(process.kill)
        process.start()
    http = await stack.enter_async_context(httpx.AsyncClient(base_url=web.url, timeout=SECONDS))
    channels = [
        await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{process.port}"))
        for process in (ours, theirs)
    ]
    return [
        Way("a2a_app, gRPC", ours, over_grpc(channels[0], "load")),
        *(
            Way(f"a2a_app, {each}", web, over_http(http, each))
            for each in ("JSON-RPC", "HTTP+JSON")
        ),
        Way(SDK, theirs, over_grpc(channels[1], "")),
    ]


def sdk_server(url: str) -> Process:
    """Return the SDK's server of gRPC, not started yet, with a database that has no tables."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.sdk_grpc_server", str(port)]
    database = url.replace("sqlite://", "sqlite+aiosqlite://", 1) + ".sdk"
    return Process(command, {"SDK_DATABASE_URL": database}, port)


async def milliseconds(way: Way, method: str, count: int) -> float:
    """Return what the server's process computes for a message, in milliseconds."""
    process = psutil.Process(way.process.pid)
    before = sum(process.cpu_times()[:2])

    async def client() -> None:
        for _ in range(count // CLIENTS):
            await way.ask(method)

    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*[client() for _ in range(CLIENTS)])
    return (sum(process.cpu_times()[:2]) - before) / (count // CLIENTS * CLIENTS) * 1e3


async def measured(found: list[Way], rounds: int, count: int) -> Taken:
    """Ask in turn, each way in each round, once all of them are warm."""
    taken: Taken = defaultdict(list)
    for way in found:
        for method in METHODS:
            await milliseconds(way, method, FEW)
    for _ in range(rounds):
        for method in METHODS:
            for way in found:
                taken[way.name, method].append(await milliseconds(way, method, count))
    return taken


def row(name: str, taken: Taken) -> str:
    """Return the figures of a way, each with the median of the ratios inside the rounds."""
    cells = [name]
    for method in METHODS:
        ours, theirs = taken[name, method], taken[SDK, method]
        ratios = [other / own for own, other in zip(ours, theirs, strict=True)]
        cells += [f"{median(ours):.1f}", f"{median(ratios):.1f}"]
    return f"| {' | '.join(cells)} |"


async def main(arguments: argparse.Namespace) -> None:
    """Measure, and print a row for each way."""
    async with AsyncExitStack() as stack:
        found = await ways(stack)
        taken = await measured(found, arguments.rounds, arguments.messages)
    stream = f"stream of {CHUNKS} chunks, CPU ms"
    print(f"| | blocking SendMessage, CPU ms | ratio | {stream} | ratio |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for way in found:
        print(row(way.name, taken))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=100)
    asyncio.run(main(parser.parse_args()))
