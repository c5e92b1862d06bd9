"""Two servers at once: turns that spend side by side pass a budget by no more than is promised."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest

from tests.clients.sockets import SocketClient
from tests.servers import Process, fresh_database, web_server
from tests.wire import message

SECONDS = 60
TURNS, RUNNING = 16, 6
LIMIT, TOKENS = 1_000, 70
# More than there would ever be without a budget.
TIMES = 200
SETTINGS: dict[str, Any] = {
    "ANONYMOUS": "refuse",
    "AUTHENTICATION": ["tests.bindings.users.by_name"],
    "RUNNING_TURNS_PER_OWNER": RUNNING,
    "BUDGETS": [{"per": "caller", "period": "month", "tokens": LIMIT}],
}
SPENT = "SELECT tokens FROM a2a_app_spending WHERE per = 'caller' AND spender = %s"
USES = "SELECT count(*) FROM a2a_app_tokenusage WHERE owner = %s"
IN_STATE = "SELECT count(*) FROM a2a_app_task WHERE owner = %s AND state = %s"
REFUSED = "Your budget for this month is used up."


class Pair:
    """Two servers, and their database."""

    def __init__(self, servers: list[Process], url: str) -> None:
        self.servers = servers
        self.url = url

    def read(self, query: LiteralString, owner: str, *more: str) -> int:
        """Return the number that a query finds for an owner."""
        with psycopg.connect(self.url) as connection:
            found = connection.execute(query, [f"name:{owner}", *more]).fetchone()
        assert found is not None
        return int(found[0])

    async def until(self, state: str, count: int, owner: str) -> None:
        """Wait until so many tasks of an owner are in a state."""
        # Another process writes it, which tells us nothing.
        while self.read(IN_STATE, owner, f"TASK_STATE_{state}") < count:  # noqa: ASYNC110  # as said
            await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with ExitStack() as stack:
        url = stack.enter_context(fresh_database("postgresql"))
        servers = [
            web_server(kind, database_url=url, layer="redis", **SETTINGS)
            for kind in ("daphne", "uvicorn")
        ]
        for server in servers:
            stack.callback(server.kill)
            server.start()
        yield Pair(servers, url)


@pytest.mark.parametrize(("in_steps", "uses"), [(False, 1), (True, 2)], ids=["uses", "steps"])
async def test_a_budget_is_passed_by_what_each_turn_at_work_had_begun_and_by_no_more(
    pair: Pair, tmp_path: Path, in_steps: bool, uses: int
) -> None:
    owner, there = f"ann-{uses}", tmp_path / "there"
    told = json.dumps({"file": str(there), "tokens": TOKENS, "times": TIMES, "in_steps": in_steps})
    async with asyncio.timeout(SECONDS), AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(SocketClient(each.url, "spender", **{"X-User": owner}))
            for each in pair.servers
        ]
        tasks = await asyncio.gather(
            *[clients[number % 2].send(told, returnImmediately=True) for number in range(TURNS)]
        )
        await pair.until("WORKING", RUNNING, owner)
        there.touch()
        await pair.until("FAILED", TURNS, owner)
        for number, task in enumerate(tasks):
            ended = await clients[number % 2].result("GetTask", id=task["id"])
            assert ended["status"]["message"]["parts"][0]["text"].startswith(REFUSED)
        for client in clients:
            error = await client.error("SendMessage", message=message(told))
            assert error["data"][0]["reason"] == "RESOURCE_EXHAUSTED"
    spent = pair.read(SPENT, owner)
    assert LIMIT <= spent <= LIMIT + RUNNING * uses * TOKENS
    assert spent == TOKENS * pair.read(USES, owner)
