"""Two servers at once: callers in parallel never pass a limit."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import psycopg
import pytest

from a2a_app.models.owners import queues_of
from tests.servers import Process, fresh_database, web_server
from tests.wire import HEADERS, envelope, message

SECONDS = 30
CALLERS = 16
RUNNING, WAITING, PER_TASK = 3, 5, 4
WEBHOOKS = 6
STORED = 100_000
LARGE = 30_000
SETTINGS: dict[str, Any] = {
    "ANONYMOUS": "refuse",
    "AUTHENTICATION": ["tests.bindings.users.by_name"],
    "RUNNING_TURNS_PER_OWNER": RUNNING,
    "WAITING_TURNS_PER_OWNER": WAITING,
    "WAITING_TURNS_PER_TASK": PER_TASK,
    "STORED_BYTES_PER_OWNER": STORED,
    "PUSH_BACKLOG_PER_OWNER": WEBHOOKS,
    "PUSH_HOSTS": ["127.0.0.1"],
    "PUSH_ALLOW_HTTP": True,
    "REQUESTS_PER_MINUTE": 2 * CALLERS,
    "LEASE_SECONDS": 600,
}
HANG = '{"end": "hang"}'
# Where no webhook is.
NOBODYS = "http://127.0.0.1:9/"


class Pair:
    """Two servers, and their database."""

    def __init__(self, servers: list[Process], url: str) -> None:
        self.servers = servers
        self.url = url

    async def ask(self, owner: str, method: str, count: int = CALLERS, **params: Any) -> list[Any]:
        """Send a call so often at once, to both servers in turn, and return the answers."""
        headers = {**HEADERS, "X-User": owner}
        async with asyncio.timeout(SECONDS), httpx.AsyncClient(timeout=SECONDS) as http:
            sent = [
                http.post(
                    f"{self.servers[number % 2].url}/a2a/load/",
                    json=envelope(method, params),
                    headers=headers,
                )
                for number in range(count)
            ]
            return [response.json() for response in await asyncio.gather(*sent)]

    async def send(self, owner: str, count: int = CALLERS, **said: Any) -> list[Any]:
        """Send a message so often at once, and return the answers."""
        text, hook = said.pop("text", HANG), said.pop("hook", None)
        configuration = {"returnImmediately": True}
        if hook is not None:
            configuration["taskPushNotificationConfig"] = hook
        return await self.ask(
            owner,
            "SendMessage",
            count,
            message=message(text, **said),
            configuration=configuration,
        )

    def count(self, query: str, owner: str) -> int:
        """Return the number that a query finds, which has the first and last queue of an owner."""
        with psycopg.connect(self.url) as connection:
            found = connection.execute(query, queues_of(f"name:{owner}")).fetchone()
        assert found is not None
        return int(found[0])


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with ExitStack() as stack:
        url = stack.enter_context(fresh_database("postgresql"))
        servers = [web_server("daphne", database_url=url, layer="redis", **SETTINGS)]
        servers.append(web_server("uvicorn", database_url=url, layer="redis", **SETTINGS))
        for server in servers:
            stack.callback(server.kill)
            server.start()
        yield Pair(servers, url)


def refused_by(answers: list[Any]) -> list[str]:
    """Return which limits have refused some of the calls."""
    errors = [answer["error"] for answer in answers if "error" in answer]
    return [error["data"][0]["metadata"]["limit"] for error in errors]


async def test_turns_that_run_and_that_wait(pair: Pair) -> None:
    answers = await pair.send("turns")
    refused = refused_by(answers)
    assert set(refused) == {"WAITING_TURNS_PER_OWNER"}
    assert len(refused) >= CALLERS - RUNNING - WAITING
    of_owner = "FROM a2a_app_run WHERE ended_at IS NULL AND queue BETWEEN %s AND %s"
    assert pair.count(f"SELECT count(*) {of_owner} AND worker <> ''", "turns") == RUNNING
    waiting = pair.count(f"SELECT count(*) {of_owner} AND worker = ''", "turns")
    assert waiting == CALLERS - len(refused) - RUNNING <= WAITING


async def test_messages_that_wait_in_one_task(pair: Pair) -> None:
    [first] = await pair.send("task", 1)
    named = {name: first["result"]["task"][key] for name, key in _NAMES.items()}
    refused = refused_by(await pair.send("task", **named))
    assert set(refused) <= {"WAITING_TURNS_PER_TASK", "WAITING_TURNS_PER_OWNER"}
    assert len(refused) == CALLERS - PER_TASK


_NAMES = {"taskId": "id", "contextId": "contextId"}


async def test_bytes_that_are_stored(pair: Pair) -> None:
    answers = await pair.send("bytes", text="x" * LARGE)
    refused = refused_by(answers)
    assert set(refused) == {"STORED_BYTES_PER_OWNER"}
    assert len(refused) == CALLERS - STORED // (LARGE + 1000)
    with psycopg.connect(pair.url) as connection:
        found = connection.execute(
            "SELECT sum(stored) FROM a2a_app_storedbytes WHERE owner = 'name:bytes'"
        ).fetchone()
    assert found is not None and found[0] <= STORED


async def test_webhooks_that_wait_for_events(pair: Pair) -> None:
    answers = await pair.send("webhooks", hook={"url": NOBODYS})
    assert set(refused_by(answers)) == {"PUSH_BACKLOG_PER_OWNER"}
    assert len(answers) - len(refused_by(answers)) == WEBHOOKS
    stored = "FROM a2a_app_pushnotificationconfig WHERE queue BETWEEN %s AND %s"
    assert pair.count(f"SELECT count(*) {stored}", "webhooks") == WEBHOOKS


async def test_requests_in_a_minute(pair: Pair) -> None:
    answers = [await pair.ask("often", "ListTasks") for _ in range(5)]
    passed = sum("result" in answer for each in answers for answer in each)
    # A full minute may come between.
    assert passed in range(2 * CALLERS, 4 * CALLERS + 1)
    assert set(refused_by(answers[-1])) <= {"REQUESTS_PER_MINUTE"}
    assert len(refused_by([each for some in answers for each in some])) == 5 * CALLERS - passed
