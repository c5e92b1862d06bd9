"""An agent elsewhere tells a turn of its task by a webhook, which may get lost."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clients.sockets import SocketClient
from tests.conftest import Serve
from tests.servers import Process, free_port, fresh_database, web_server

SECONDS = 60
# So that nothing wakes a turn in time but a webhook.
NEVER = 3600.0
CALLS_WEBHOOKS: dict[str, Any] = {
    "PUSH_HOSTS": ["127.0.0.1"],
    "PUSH_ALLOW_HTTP": True,
    "PUSH_RETRY_SECONDS": 0.2,
}
TOLD = "SELECT rung_at FROM a2a_app_remotetask WHERE has_webhook AND ended_at IS NULL"
ASLEEP = "SELECT count(*) FROM a2a_app_run WHERE wakes_at IS NOT NULL AND ended_at IS NULL"
ATTEMPTS = "SELECT count(*) FROM a2a_app_run"


@dataclass
class Parent:
    """A server whose turn asks an agent of another server, and is put away."""

    process: Process
    database: Path
    child: Process

    def read(self, query: str) -> Any:
        """Return the first value that a query finds; None: it finds nothing."""
        with closing(sqlite3.connect(self.database, timeout=SECONDS)) as rows, rows:
            found = rows.execute(query).fetchone()
        return found and found[0]

    async def until_asleep(self) -> None:
        """Wait until the other agent is to tell of its task, and the turn is put away."""
        # Another process writes it, which tells us nothing.
        while not self.read(ASLEEP):  # noqa: ASYNC110  # as said
            await asyncio.sleep(0.05)


@asynccontextmanager
async def asking(serve: Serve, *, looks_every: float, hears: bool) -> AsyncIterator[Parent]:
    """Start two servers, each with a database of its own, of which the first asks the second.

    Args:
        serve: Starts the second one.
        looks_every: After how many seconds a turn of the first looks without a webhook.
        hears: Whether webhooks get to the first one.
    """
    child = serve(**CALLS_WEBHOOKS)
    with ExitStack() as stack:
        url = stack.enter_context(fresh_database("sqlite"))
        process = web_server(
            "daphne",
            database_url=url,
            REMOTE_AGENTS={"next": {"URL": f"{child.url}/a2a/speaker"}},
            PUT_AWAY_SECONDS=0.2,
            SWEEP_SECONDS=0.3,
        )
        settings = json.loads(process.env["A2A_SETTINGS"])
        port = process.port if hears else free_port()
        settings["PUBLIC_URL"] = f"http://127.0.0.1:{port}"
        process.env["A2A_SETTINGS"] = json.dumps(settings)
        process.env["A2A_TEST_LOOK_SECONDS"] = str(looks_every)
        stack.callback(process.kill)
        process.start()
        yield Parent(process, Path(url.partition("///")[2]), child)


async def begin(client: SocketClient, parent: Parent, there: Path) -> str:
    """Have the parent ask for what is done once there is a file, and be put away meanwhile."""
    task = await client.send(
        json.dumps([{"chunks": [{"file": str(there)}]}]), returnImmediately=True
    )
    await parent.until_asleep()
    return str(task["id"])


async def completed(client: SocketClient, task: str) -> None:
    """Wait until a task is over, and see that it is completed."""
    while True:
        state = (await client.result("GetTask", id=task))["status"]["state"]
        if state not in ("TASK_STATE_SUBMITTED", "TASK_STATE_WORKING"):
            assert state == "TASK_STATE_COMPLETED"
            return
        await asyncio.sleep(0.05)  # the pause of a poll, as clients make it


async def test_a_webhook_between_two_servers_wakes_the_turn_that_was_put_away(
    serve: Serve, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    async with (
        asyncio.timeout(SECONDS),
        asking(serve, looks_every=NEVER, hears=True) as parent,
        SocketClient(parent.process.url, "relay") as client,
    ):
        task = await begin(client, parent, there)
        assert parent.read(TOLD) is None
        there.touch()
        await completed(client, task)
        assert parent.read(ATTEMPTS) == 2


async def test_a_turn_goes_on_though_the_webhook_that_was_to_wake_it_is_lost(
    serve: Serve, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    async with (
        asyncio.timeout(SECONDS),
        asking(serve, looks_every=2.0, hears=False) as parent,
        SocketClient(parent.process.url, "relay") as client,
    ):
        task = await begin(client, parent, there)
        there.touch()
        await parent.child.says("is tried again")
        await completed(client, task)
        assert parent.read("SELECT count(*) FROM a2a_app_remotetask WHERE rung_at IS NULL") == 1
        assert parent.read("SELECT has_webhook FROM a2a_app_remotetask") == 1
