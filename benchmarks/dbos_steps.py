"""Do with DBOS what `benchmarks.step_cost` does: the other side of the comparison.

    DBOS_URL=… PYTHONPATH=… python -m benchmarks.dbos_steps [crawl]

`benchmarks.steps` calls it, where DBOS's library is installed in a folder of its own. It prints
JSON. With `crawl` it does a workflow of slow steps, or goes on with one after a crash, and prints
each step.
"""

import asyncio
import json
import os
import sys
import time
from importlib import import_module
from typing import Any

from benchmarks.equal_steps import OF_EACH, STEPS, TURNS, seconds

# It is no dependency of the app, or of its tests.
dbos: Any = import_module("dbos")
DBOS = dbos.DBOS

CRAWL_STEPS, CRAWL_SECONDS = 40, 0.1

DBOS(config={"name": "steps", "system_database_url": os.environ["DBOS_URL"], "log_level": "ERROR"})


@DBOS.step()  # type: ignore[untyped-decorator]  # of a library that is not there
async def nothing() -> int:
    """Do what costs as little as it can."""
    return 1


@DBOS.workflow()  # type: ignore[untyped-decorator]  # as above
async def steps(count: int) -> None:
    """Do some steps, one after the other."""
    for _ in range(count):
        await nothing()


@DBOS.step()  # type: ignore[untyped-decorator]  # as above
async def crawl(number: int) -> int:
    """Take a while, and tell when it is over."""
    await asyncio.sleep(CRAWL_SECONDS)
    print(json.dumps([number, time.time()]), flush=True)
    return number


@DBOS.workflow()  # type: ignore[untyped-decorator]  # as above
async def crawling() -> None:
    """Do slow steps, one after the other."""
    for number in range(CRAWL_STEPS):
        await crawl(number)


async def measure() -> dict[str, float]:
    """Measure steps in one workflow, and in many workflows at once."""

    async def all_at_once() -> None:
        await asyncio.gather(*[steps(OF_EACH) for _ in range(TURNS)])

    await steps(10)
    one_after_the_other = await seconds(lambda: steps(STEPS)) / STEPS
    together = await seconds(all_at_once)
    return {"ms a step": one_after_the_other * 1e3, "steps a second": TURNS * OF_EACH / together}


async def main() -> None:
    """Measure, or crawl."""
    DBOS.launch()
    if sys.argv[1:] == ["crawl"]:
        with dbos.SetWorkflowID("crawl"):
            await (await DBOS.start_workflow_async(crawling)).get_result()
    else:
        print(json.dumps(await measure()))


if __name__ == "__main__":
    asyncio.run(main())
    os._exit(0)  # its threads would keep the process
