"""Measure how long a channel layer takes from group_send in one process to receive in another.

    python -m benchmarks.layers [rounds]

It starts its own PostgreSQL, Redis and processes.
"""

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from statistics import median, quantiles
from typing import Any, get_args

import django

from tests.servers import ROOT, Layer, fresh_database, layer_environment

LAYERS = [layer for layer in get_args(Layer) if layer != "memory"]
ROUNDS = 10
GROUP = "benchmark"
# First single messages, so far apart that each is alone. Then a burst, as many tasks make one.
SINGLE, PAUSE_SECONDS = 100, 0.01
BURST, SENDERS = 2_000, 20
TEXT = "x" * 300


async def hear() -> None:
    """Join the group, and print for each order how long each message took, in milliseconds."""
    layer = _layer()
    channel = await layer.new_channel()
    await layer.group_add(GROUP, channel)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        took = []
        for _ in range(int(line)):
            sent = (await layer.receive(channel))["sent"]
            took.append((time.monotonic() - sent) * 1e3)
        sys.stdout.write(json.dumps(took) + "\n")
        sys.stdout.flush()


async def send() -> None:
    """Send as many messages as each order says, from as many senders as it says."""
    layer = _layer()
    for line in sys.stdin:
        count, senders, pause = json.loads(line)

        async def some(count: int = count // senders, pause: float = pause) -> None:
            for _ in range(count):
                message = {"type": "event", "sent": time.monotonic(), "text": TEXT}
                await layer.group_send(GROUP, message)
                await asyncio.sleep(pause)

        begun = time.perf_counter()
        await asyncio.gather(*(some() for _ in range(senders)))
        sys.stdout.write(f"{time.perf_counter() - begun}\n")
        sys.stdout.flush()


def _layer() -> Any:
    django.setup()
    from channels.layers import get_channel_layer  # the settings come first

    return get_channel_layer()


async def start(role: str, layer: Layer, database_url: str) -> Process:
    """Start the process of one side."""
    env = {"DATABASE_URL": database_url, "DJANGO_SETTINGS_MODULE": "project.settings"}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.layers", role, stdin=PIPE, stdout=PIPE, cwd=ROOT,
        limit=2**20, env={**os.environ, **env, **layer_environment(layer)},
    )  # fmt: skip  # one option a line hides what is run


async def ask(process: Process, *order: float) -> None:
    """Write an order to a process."""
    assert process.stdin is not None
    process.stdin.write(json.dumps(order if len(order) > 1 else order[0]).encode() + b"\n")
    await process.stdin.drain()


async def printed(process: Process) -> str:
    """Return the next line that a process prints."""
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


async def round_of(ear: Process, mouth: Process) -> tuple[list[float], float]:
    """Return the milliseconds of single messages, and the messages per second of a burst."""
    await ask(ear, SINGLE)
    await ask(mouth, SINGLE, 1, PAUSE_SECONDS)
    await printed(mouth)
    took: list[float] = json.loads(await printed(ear))
    await ask(ear, BURST)
    begun = time.perf_counter()
    await ask(mouth, BURST, SENDERS, 0)
    await printed(ear)
    seconds = time.perf_counter() - begun
    await printed(mouth)
    return took, BURST / seconds


async def measure(rounds: int) -> None:
    """Measure the layers in turn, and print the table. The first round does not count."""
    print(f"{'layer':<12} {'median ms':>10} {'p99 ms':>10} {'messages per second':>20}")
    found: dict[str, list[tuple[list[float], float]]] = {each: [] for each in LAYERS}
    with fresh_database("postgresql") as url:
        pairs = {each: [await start(role, each, url) for role in ROLES] for each in LAYERS}
        for ear, _ in pairs.values():
            await printed(ear)
        for number in range(rounds + 1):
            for each, (ear, mouth) in pairs.items():
                done = await round_of(ear, mouth)
                if number:
                    found[each].append(done)
        for process in [one for pair in pairs.values() for one in pair]:
            process.kill()
            await process.wait()
    for each, results in found.items():
        print(row(each, results))


def row(name: str, results: list[tuple[list[float], float]]) -> str:
    """Return a layer's line of the table."""
    took = [one for some, _ in results for one in some]
    slow, rate = quantiles(took, n=100)[-1], median(rate for _, rate in results)
    return f"{name:<12} {median(took):>10.2f} {slow:>10.2f} {rate:>20,.0f}"


ROLES = {"hear": hear, "send": send}

if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in ROLES:
        asyncio.run(ROLES[sys.argv[1]]())
    else:
        asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))
