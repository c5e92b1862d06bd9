"""Races between two servers at each isolation level: one wins, and nothing is lost or doubled.

The level is the project's, in the OPTIONS of DATABASES, or the default of the server.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from functools import cache
from typing import Any

import psycopg
import pytest

from tests.acceptance.records import message_tasks
from tests.clients.sockets import SocketClient
from tests.receiver import Receiver, receiving
from tests.servers import fresh_database, web_server
from tests.wire import load_message, message, state, text

SECONDS = 60
RACES, AT_ONCE = 10, 5
SETTINGS: dict[str, Any] = {
    "PUSH_HOSTS": ["127.0.0.1"],
    "PUSH_ALLOW_HTTP": True,
    "PUSH_CHUNKS": True,
    "POLL_SECONDS": 0.5,
    "SWEEP_SECONDS": 0.5,
}
# What the DATABASE_URLs of the servers add, with levels as psycopg numbers them; and the default.
BY_SERVER, BY_OPTIONS = ("", ""), ("?isolation_level=3", "?isolation_level=4")
LEVELS = {
    "read committed": (BY_SERVER, "read committed"),
    "repeatable read by default": (BY_SERVER, "repeatable read"),
    "serializable by default": (BY_SERVER, "serializable"),
    "repeatable read and serializable by options": (BY_OPTIONS, "read committed"),
}
SET_DEFAULT = "ALTER ROLE CURRENT_USER IN DATABASE {} SET default_transaction_isolation = '{}'"
# Sessions keep the default with which they began.
END_SESSIONS = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
ARE_DELIVERED = (
    "SELECT 1 WHERE NOT EXISTS"
    " (SELECT FROM a2a_app_pushnotificationconfig WHERE due_at IS NOT NULL)"
)
NOT_CANCELABLE, UNSUPPORTED = -32002, -32004
FAULTS = ("Traceback", " ERROR ", " CRITICAL ", "does not answer")

Race = Callable[[SocketClient, SocketClient, int], Awaitable[Any]]
Log = list[tuple[int, dict[str, Any]]]
Options = tuple[str, str]


class Pair:
    """Two servers of one site, and its database."""

    def __init__(self, url: str, options: Options) -> None:
        self.url = url
        self.servers = [
            web_server("daphne", database_url=url + each, layer="postgresql", **SETTINGS)
            for each in options
        ]
        self._default = "read committed"

    def set_default(self, level: str) -> None:
        """Make a level the default of all sessions, and end those that have another."""
        if level != self._default:
            name, self._default = self.url.rpartition("/")[2], level
            self.execute(SET_DEFAULT.format(name, level))
            self.execute(END_SESSIONS)

    def execute(self, statement: str, *, until_found: bool = False) -> None:
        """Run a statement as somebody else does; again and again until it finds a row."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            for _ in range(SECONDS * 100):
                if connection.execute(statement).fetchall() if until_found else True:
                    return
                connection.execute("SELECT pg_sleep(0.01)")
        raise TimeoutError(statement)

    @asynccontextmanager
    async def clients(self, agent: str = "load") -> AsyncIterator[tuple[SocketClient, ...]]:
        """Yield a client of each server."""
        async with AsyncExitStack() as stack, asyncio.timeout(SECONDS):
            yield tuple(
                [
                    await stack.enter_async_context(SocketClient(server.url, agent))
                    for server in self.servers
                ]
            )

    async def race(self, race: Race, agent: str = "load") -> list[Any]:
        """Run a race RACES times, AT_ONCE at a time, and return what came of each."""
        places = asyncio.Semaphore(AT_ONCE)
        async with self.clients(agent) as (here, there):

            async def one(number: int) -> Any:
                async with places:
                    return await race(*((here, there) if number % 2 else (there, here)), number)

            return await asyncio.gather(*[one(number) for number in range(RACES)])


@pytest.fixture(scope="module")
def start() -> Iterator[Callable[[Options], Pair]]:
    """Start a pair of servers for each OPTIONS, once."""
    with ExitStack() as stack:

        @cache
        def started(options: Options) -> Pair:
            pair = Pair(stack.enter_context(fresh_database("postgresql")), options)
            for server in pair.servers:
                stack.callback(server.kill)
                server.start()
            return pair

        yield started


@pytest.fixture(scope="module", params=list(LEVELS.values()), ids=list(LEVELS))
def level(start: Callable[[Options], Pair], request: pytest.FixtureRequest) -> Pair:
    options, default = request.param
    pair = start(options)
    pair.set_default(default)
    return pair


@pytest.fixture
def pair(level: Pair, request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Let a test use the servers, which must log no fault meanwhile."""
    before = [len(server.output()) for server in level.servers]
    yield level
    said = [s.output()[at:] for s, at in zip(level.servers, before, strict=True)]
    request.node.add_report_section("teardown", "servers", "\n".join(said))
    assert [each for each in FAULTS if each in "".join(said)] == []


async def test_of_an_end_and_two_cancels_one_wins_for_everybody(pair: Pair) -> None:
    ends = Counter(await pair.race(_cancels_and_an_end, "steps"))
    assert ends.keys() == {"COMPLETED", "CANCELED"}


async def _cancels_and_an_end(here: SocketClient, there: SocketClient, number: int) -> str:
    # One in four is canceled at its first word, when the end is far, and one after its end. The
    # others are canceled at their last word, when the end is near.
    delay = [30.0, 0.0, 0.0, 0.01][number % 4]
    said = message(json.dumps({"steps": 2, "delay": delay}))
    async with here.open("SendStreamingMessage", message=said) as events:
        seen = [await anext(events)]
        task_id = seen[0][1]["task"]["id"]
        while sum(bool(text(item)) for _, item in seen) < (2 if number % 4 else 1):
            seen.append(await anext(events))
        if number % 4 == 2:
            seen += [event async for event in events]
        answers = await asyncio.gather(*[_cancel(each, task_id) for each in (here, there)])
        seen += [event async for event in events]
    _check_numbers(seen, first=1)
    [end] = {state(seen[-1][1]), *answers}
    return end


async def _cancel(client: SocketClient, task_id: str) -> str:
    """Cancel a task, and return the end that the answer tells of."""
    answer = await client.call("CancelTask", id=task_id)
    if "error" in answer:
        assert answer["error"]["code"] == NOT_CANCELABLE, answer
        return "COMPLETED"
    return state({"task": answer["result"]})


async def test_of_messages_and_a_cancel_each_is_taken_once_or_refused(pair: Pair) -> None:
    await pair.race(_messages_and_a_cancel)
    message_tasks(pair.url)  # each message is there once


async def _messages_and_a_cancel(here: SocketClient, there: SocketClient, number: int) -> None:
    task = await here.send(load_message(chunks=1, end="input-required"))
    said = [_more_of(task) for _ in range(2)]
    racers = [
        client.call("SendMessage", message=each)
        for client, each in zip((here, there), said, strict=True)
    ]
    if number % 4 == 0:
        racers.append(there.call("CancelTask", id=task["id"]))
    answers = (await asyncio.gather(*racers))[:2]
    assert all("result" in a or a["error"]["code"] == UNSUPPORTED for a in answers), answers
    await here.call("CancelTask", id=task["id"])
    log = await _log(there, task["id"])
    assert state(log[-1][1]) == "CANCELED"
    [read, again] = [await each.result("GetTask", id=task["id"]) for each in (here, there)]
    assert read == again
    heard = [m["messageId"] for m in read["history"] if m["role"] == "ROLE_USER"]
    taken = [m["messageId"] for m, a in zip(said, answers, strict=True) if "result" in a]
    assert sorted(heard[1:]) == sorted(taken)
    if number % 4:
        assert len(taken) == 2
        chunks = [text(item).split()[0] for _, item in log if text(item)]
        assert chunks == ["0", "0", "1", "0", "1"]


async def test_of_two_messages_to_a_waiting_task_each_has_a_whole_stream(pair: Pair) -> None:
    await pair.race(_two_streams)


async def _two_streams(here: SocketClient, there: SocketClient, number: int) -> None:
    task = await here.send(load_message(chunks=1, end="input-required"))
    streams = await asyncio.gather(
        *[client.stream("SendStreamingMessage", message=_more_of(task)) for client in (here, there)]
    )
    for seen in streams:
        _check_numbers(seen, first=seen[0][0])
        assert state(seen[-1][1]) == "INPUT_REQUIRED"


def _more_of(task: dict[str, Any]) -> dict[str, Any]:
    """Make a message that goes on with a task that waits for it."""
    return load_message(chunks=2, end="input-required") | {"taskId": task["id"]}


async def test_of_two_messages_under_one_key_one_makes_a_task(pair: Pair) -> None:
    before = message_tasks(pair.url)
    found = await pair.race(_four_under_one_key)
    new = message_tasks(pair.url).items() - before.items()
    assert new == set(found)


async def _four_under_one_key(
    here: SocketClient, there: SocketClient, number: int
) -> tuple[str, str]:
    said = load_message(chunks=3)
    clients = [each.under_key(said["messageId"]) for each in (here, there)]
    sends = asyncio.gather(*[client.send(said) for client in clients])
    streams = await asyncio.gather(
        *[client.stream("SendStreamingMessage", message=said) for client in clients]
    )
    tasks = await sends
    [task_id] = {task["id"] for task in tasks} | {seen[0][1]["task"]["id"] for seen in streams}
    for seen in streams:
        _check_numbers(seen, first=seen[0][0])
        assert state(seen[-1][1]) == "COMPLETED"
    log = await _log(there, task_id)
    assert [text(item).split()[0] for _, item in log if text(item)] == ["0", "1", "2"]
    return said["messageId"], task_id


async def test_webhooks_that_come_and_go_at_the_end_get_each_event_once(pair: Pair) -> None:
    async with receiving() as receiver:

        async def race(here: SocketClient, there: SocketClient, number: int) -> Webhooks:
            return await _webhooks_and_an_end(here, there, number, receiver)

        found = await pair.race(race, "steps")
        await asyncio.to_thread(pair.execute, ARE_DELIVERED, until_found=True)
        for webhooks in found:
            webhooks.check(receiver)


class Webhooks:
    """The webhooks of one task, and its log."""

    def __init__(self, number: int, log: Log, winner: str) -> None:
        self.number, self.winner = number, winner
        self._log = [item for _, item in log]

    def check(self, receiver: Receiver) -> None:
        """See that each got what it should, in order, and nothing twice."""
        got = {name: self._got(receiver, name) for name in ("kept", "deleted", "here", "there")}
        assert got["kept"] == self._log
        late = got[self.winner]
        assert late == self._log[len(self._log) - len(late) :]
        for bodies in got.values():
            first = self._log.index(bodies[0]) if bodies else 0
            assert bodies == self._log[first : first + len(bodies)]

    def _got(self, receiver: Receiver, name: str) -> list[dict[str, Any]]:
        token = f"{self.number} {name}"
        return [
            request.body
            for request in receiver.requests
            if request.headers["x-a2a-notification-token"] == token
        ]


async def _webhooks_and_an_end(
    here: SocketClient, there: SocketClient, number: int, receiver: Receiver
) -> Webhooks:
    """Create, replace and delete webhooks of a task about when it ends."""
    kept = {"id": "kept", "url": receiver.url, "token": f"{number} kept"}
    said = message(json.dumps({"steps": 3, "delay": number * 0.006}))
    configured = {"taskPushNotificationConfig": kept}
    sending = here.open("SendStreamingMessage", message=said, configuration=configured)
    async with sending as events:
        task_id = (await anext(events))[1]["task"]["id"]
        hooks = [(here, "here", "late"), (there, "there", "late"), (here, "deleted", "deleted")]
        await asyncio.gather(
            *[
                client.result(
                    "CreateTaskPushNotificationConfig",
                    taskId=task_id,
                    id=key,
                    url=f"{receiver.url}&by={name}",
                    token=f"{number} {name}",
                )
                for client, name, key in hooks
            ]
        )
        await asyncio.gather(
            *[
                client.result("DeleteTaskPushNotificationConfig", taskId=task_id, id="deleted")
                for client in (here, there)
            ]
        )
        async for _ in events:
            pass
    log = await _log(there, task_id)
    listed = await there.result("ListTaskPushNotificationConfigs", taskId=task_id)
    left = {config["id"]: config["url"] for config in listed["configs"]}
    assert left.keys() == {"kept", "late"}
    return Webhooks(number, log, left["late"].rpartition("=")[2])


async def _log(client: SocketClient, task_id: str) -> Log:
    """Return all events of a task that has ended, but for the first."""
    log = await client.stream("SubscribeToTask", id=task_id, last_event_id="1")
    _check_numbers(log, first=2)
    return log


def _check_numbers(seen: Log, *, first: int) -> None:
    assert [number for number, _ in seen] == list(range(first, first + len(seen)))
