"""Measure a turn that goes on round by round: what it takes to awake after many of them.

    DATABASE_URL=… python -m benchmarks.rounds

`benchmarks.steps` calls it, with a database of its own. It prints JSON.
"""

import asyncio
import json
import os
import time
from datetime import timedelta
from statistics import median

import django

ROUNDS = (1, 100, 1_000, 10_000)
WAKES = 5

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
os.environ["A2A_SETTINGS"] = json.dumps({"PUT_AWAY_SECONDS": 0})
django.setup()

# Models are there only once Django is set up.
from django.utils import timezone  # noqa: E402  # as said

from a2a_app import database, models, runners  # noqa: E402  # as said
from a2a_app.agents import Turn  # noqa: E402  # as said
from a2a_app.models.step import Kind  # noqa: E402  # as said
from a2a_app.store.notify import ring  # noqa: E402  # as said
from tests.clients.operations import client_of  # noqa: E402  # as said
from tests.sleepers import asleep, is_asleep, let_time_pass  # noqa: E402  # as said


async def agent(turn: Turn) -> None:
    """Do a step and sleep, round by round."""
    while True:
        await turn.step("look", lambda: 1)
        await turn.sleep(timedelta(days=7))


def add_rounds(rounds: int) -> None:
    """Store that the one turn has gone through so many rounds."""
    last = models.Step.objects.latest("number")
    place = {"task_id": last.task_id, "turn": last.turn, "started_at": timezone.now()}
    models.Step.objects.bulk_create(
        [
            step
            for done in range(last.number // 2, rounds)
            for step in (
                models.Step(
                    **place, number=2 * done + 1, name=f"look#{done + 1}", result=[1], tries=1
                ),
                models.Step(**place, number=2 * done + 2, kind=Kind.SLEEP, until=timezone.now()),
            )
        ],
        batch_size=500,
    )


async def cost_of_a_wake() -> float:
    """Return the milliseconds of processor until the turn is asleep in its next attempt."""
    attempt = (await is_asleep()).attempt
    await database.run(let_time_pass)
    begun = time.process_time()
    await ring(None)
    # So that the looks take little of what is measured.
    while not [run for run in await database.run(asleep) if run.attempt > attempt]:  # noqa: ASYNC110  # as said
        await asyncio.sleep(0.05)
    return (time.process_time() - begun) * 1e3


async def main() -> None:
    """Measure a wake after each number of rounds."""
    found = {}
    with client_of(agent, durable=True) as client:
        task = await client.send(return_immediately=True)
        await runners.current().begin()
        for rounds in ROUNDS:
            await is_asleep()
            await database.run(add_rounds, rounds)
            wakes = [await cost_of_a_wake() for _ in range(WAKES)]
            found[f"ms a wake after {rounds:,} rounds"] = median(wakes)
        await client.cancel(task.id)
    print(json.dumps(found))
    await runners.current().close()


if __name__ == "__main__":
    asyncio.run(main())
