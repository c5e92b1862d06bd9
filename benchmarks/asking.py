"""Asking: agents on three servers of which each asks the next, beside one that is called itself."""

import time
from contextlib import AsyncExitStack, ExitStack
from statistics import median
from typing import Any

import psutil

from tests.clients.sockets import SocketClient
from tests.servers import Process, fresh_database, web_server

BLOCKS, OF_A_BLOCK = 5, 50
# What the agent at the end does: as little as it can.
SAID = '{"chunks": 1}'


def _server(stack: ExitStack, asks: str = "") -> Process:
    """Start a server with a database of its own, whose agent asks the one of this URL."""
    more: dict[str, Any] = {"REMOTE_AGENTS": {"next": {"URL": asks}}} if asks else {}
    url = stack.enter_context(fresh_database("postgresql"))
    process = web_server("uvicorn", database_url=url, layer="redis", **more)
    stack.callback(process.kill)
    process.start()
    return process


async def asking(stack: ExitStack) -> None:
    """Print what a blocking call takes whose agent answers, asks one, and asks one that asks."""
    third = _server(stack)
    second = _server(stack, asks=f"{third.url}/a2a/load")
    first = _server(stack, asks=f"{second.url}/a2a/relay")
    called = {
        "the agent itself": (third, "load"),
        "an agent that asks it": (second, "relay"),
        "an agent that asks that one": (first, "relay"),
    }
    took: dict[str, list[float]] = {name: [] for name in called}
    worked: dict[str, float] = dict.fromkeys(called, 0.0)
    servers = [psutil.Process(each.pid) for each in (first, second, third)]
    async with AsyncExitStack() as clients:
        connected = {
            name: await clients.enter_async_context(SocketClient(process.url, agent))
            for name, (process, agent) in called.items()
        }
        # In turn, so that what else the machine does meets all of them.
        for number in range(1 + BLOCKS):
            for name, client in connected.items():
                before = _processor_seconds(servers)
                each = [await _call(client) for _ in range(OF_A_BLOCK)]
                if number:  # the first warms all up
                    took[name] += each
                    worked[name] += _processor_seconds(servers) - before
    base = median(took["the agent itself"])
    for name, each in took.items():
        processor = worked[name] / len(each) * 1e3
        print(
            f"{name}: {median(each) * 1e3:.1f} ms, {median(each) / base:.1f} times, and "
            f"{processor:.1f} ms of processor in all servers",
            flush=True,
        )


async def _call(client: SocketClient) -> float:
    begun = time.perf_counter()
    task = await client.send(SAID)
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"
    return time.perf_counter() - begun


def _processor_seconds(servers: list[psutil.Process]) -> float:
    times = [each.cpu_times() for each in servers]
    return sum(each.user + each.system for each in times)
