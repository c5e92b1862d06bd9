"""Measure what a step costs, beside a plain call, and a turn that has none.

    DATABASE_URL=… python -m benchmarks.step_cost

`benchmarks.steps` calls it, with a database of its own. It prints JSON.
"""

import asyncio
import json
import os
import time
from statistics import median

import django

from benchmarks.equal_steps import OF_EACH, STEPS, TURNS, seconds

CALLS, MESSAGES = 100_000, 200

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
django.setup()

# Models are there only once Django is set up.
from a2a_app import runners  # noqa: E402  # as said
from a2a_app.agents import Turn  # noqa: E402  # as said
from tests.clients.operations import client_of  # noqa: E402  # as said


async def nothing() -> int:
    """Do what costs as little as it can."""
    return 1


async def cost_of_steps() -> dict[str, float]:
    """Measure steps in one turn, one after the other, and in many turns at once."""
    found: dict[str, float] = {}

    async def agent(turn: Turn) -> None:
        async def steps() -> None:
            for _ in range(int(turn.text)):
                await turn.step("nothing", nothing)

        found["last"] = await seconds(steps)

    async def all_at_once() -> None:
        await asyncio.gather(*[client.send(f"{OF_EACH}") for _ in range(TURNS)])

    with client_of(agent, durable=True) as client:
        await client.send("10")
        await client.send(f"{STEPS}")
        one_after_the_other = found["last"] / STEPS
        together = await seconds(all_at_once)
    return {"ms a step": one_after_the_other * 1e3, "steps a second": TURNS * OF_EACH / together}


async def cost_of_a_plain_call() -> float:
    """Return the milliseconds that it takes to await the function itself."""
    begun = time.perf_counter()
    for _ in range(CALLS):
        await nothing()
    return (time.perf_counter() - begun) / CALLS * 1e3


async def cost_of_a_turn() -> dict[str, float]:
    """Measure messages to an agent without steps, durable and not, in turn."""

    async def agent(turn: Turn) -> str:
        return turn.text

    took: dict[str, list[float]] = {"not durable": [], "durable": []}
    for _ in range(MESSAGES):
        for name, each in took.items():
            with client_of(agent, durable=name == "durable") as client:
                each.append(await seconds(client.send))
    return {f"ms a turn, {name}": median(each) * 1e3 for name, each in took.items()}


async def main() -> None:
    """Measure all of it."""
    plain = {"ms a plain call": await cost_of_a_plain_call()}
    print(json.dumps({**plain, **await cost_of_steps(), **await cost_of_a_turn()}))
    await runners.current().close()


if __name__ == "__main__":
    asyncio.run(main())
