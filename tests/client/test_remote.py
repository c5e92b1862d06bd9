"""Remote agents: our server, those of others, and connections that break off."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import AsyncClient

from a2a_app import database, models, runners
from a2a_app.agents import TaskState, Turn
from a2a_app.client import Event, RemoteAgent, RemoteAgentError, UnreachableError, text_of
from a2a_app.client.connection import Request
from a2a_app.client.local import LocalConnection
from a2a_app.client.messages import request_to_send
from a2a_app.protocol import (
    Part,
    SubscribeToTaskRequest,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnauthenticatedError,
    UnsupportedOperationError,
)
from a2a_app.testing import agent_for_test
from tests.approvals import answer
from tests.client.peers import BASE, Cutter, fasta2a_peer, sdk_peer
from tests.clients.operations import client_of
from tests.conftest import ChangeSettings
from tests.cuts import Cut, attempts
from tests.receiver import Received, receiving
from tests.servers import Process, fresh_database, web_server
from tests.sleepers import asleep, ended, until
from tests.wire import UNKNOWN_TASK

WAYS = [(binding, version) for binding in ("JSONRPC", "HTTP+JSON") for version in ("1.0", "0.3")]
every_way = pytest.mark.parametrize(("binding", "version"), WAYS)


@pytest.fixture(scope="module")
def server() -> Iterator[Process]:
    to_us: Any = {"PUSH_ALLOW_HTTP": True, "PUSH_HOSTS": ["127.0.0.1"]}
    with fresh_database("sqlite") as url:
        process = web_server("daphne", database_url=url, **to_us)
        process.start()
        yield process
        process.kill()


@pytest.fixture(autouse=True)
def quick_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("a2a_app.client.resumption.PAUSES", (0.01,) * 3)


def told(**load: Any) -> str:
    return json.dumps(load)


def chunks(events: list[Event]) -> list[int]:
    """Return the numbers of the load agent's chunks, as the stream brought them."""
    return [int(event.text.split()[0]) for event in events if event.response.artifact_update]


@every_way
async def test_our_server_is_spoken_to_in_every_way(
    server: Process, a2a: ChangeSettings, binding: str, version: str
) -> None:
    a2a(REMOTE_AGENTS={"load": {"URL": f"{server.url}/a2a/load"}})
    async with RemoteAgent("load", binding=binding, version=version) as load:
        assert load.card.name == "Load"
        events = [event async for event in load.stream(told(chunks=2))]
        assert events[-1].state is TaskState.COMPLETED
        assert chunks(events)[:2] == [0, 1]
        task = await load.get(events[0])
        assert task.state is TaskState.COMPLETED and task.text.startswith("0 ")
        sent = await load.send(told(chunks=1))
        assert sent.state is TaskState.COMPLETED and sent.artifacts[0].name == "load"
        begun = await load.send(told(end="hang"), return_immediately=True)
        assert (await load.cancel(begun)).state is TaskState.CANCELED
        with pytest.raises(TaskNotCancelableError):
            await load.cancel(sent)
        with pytest.raises(TaskNotFoundError):
            await load.get(UNKNOWN_TASK)
        with pytest.raises(UnsupportedOperationError):
            [event async for event in load.subscribe(sent)]


@pytest.mark.usefixtures("runtime")
async def test_a_turn_asks_an_agent_elsewhere_once(server: Process, a2a: ChangeSettings) -> None:
    replies: list[str] = []
    cuts = [Cut(0), Cut()]

    async def agent(turn: Turn) -> None:
        if turn.attempt == 2:  # as if it had ended before it knew the reply, and the other task
            await database.run(forget)
        replies.append((await turn.ask("echo", "Hello")).task_id)
        await cuts[turn.attempt - 1]()

    async with Cutter(server.port, events=1, times=1) as cutter:
        a2a(REMOTE_AGENTS={"echo": {"URL": f"{cutter.url}/a2a/echo"}})
        await attempts(agent, *cuts, attempts=2)
    first, second = replies
    assert first == second


@pytest.mark.usefixtures("runtime")
async def test_a_turn_is_put_away_while_an_agent_elsewhere_works_and_looks_again(
    server: Process, a2a: ChangeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("a2a_app.agents.durable.errands.SHORTEST_LOOK", timedelta(seconds=0.1))
    urls = {"load": {"URL": f"{server.url}/a2a/load"}}
    a2a(REMOTE_AGENTS=urls, PUT_AWAY_SECONDS=0, SWEEP_SECONDS=60)

    async def agent(turn: Turn) -> str:
        text = (await turn.ask("load", told(chunks=3, delay=0.3))).text
        return f"{text.split()[0]} in attempt {turn.attempt}"

    await runners.current().begin()
    with client_of(agent, durable=True) as client:
        task = await client.send()
    said = task.artifacts[0].parts[0].text or ""
    assert said.startswith("0 in attempt ") and int(said.split()[-1]) > 1


@pytest.mark.usefixtures("runtime")
async def test_a_question_of_an_agent_elsewhere_is_answered_and_a_cancel_gets_there(
    server: Process, a2a: ChangeSettings
) -> None:
    names = {"desk": "travel-desk", "load": "load"}
    urls = {name: {"URL": f"{server.url}/a2a/{slug}"} for name, slug in names.items()}
    a2a(REMOTE_AGENTS=urls)

    async def agent(turn: Turn) -> str:
        return (await turn.ask(*turn.text.split(maxsplit=1))).text

    await runners.current().begin()
    with client_of(agent, durable=True) as client:
        asked = await client.send("desk Plan a trip to Lisbon")
        assert asked.status.state is TaskState.INPUT_REQUIRED
        planned = await client.send(answer(asked, Part(text="2")))
        assert planned.status.state is TaskState.COMPLETED
        hangs = await client.send(f"load {told(end='hang')}", return_immediately=True)
        known = models.RemoteTask.objects.filter(agent="load").exclude(remote_id="")
        await until(known.exists)
        await client.cancel(hangs.id)
        await until(known.exclude(ended_at=None).exists)
        remote_id = await database.run(lambda: known.get().remote_id)
    async with RemoteAgent("load") as load:
        assert (await load.get(remote_id)).state is TaskState.CANCELED


def forget() -> None:
    models.Step.objects.all().delete()
    models.RemoteTask.objects.update(remote_id="")


async def test_a_task_that_asks_is_continued(server: Process, a2a: ChangeSettings) -> None:
    a2a(REMOTE_AGENTS={"desk": {"URL": f"{server.url}/a2a/travel-desk"}})
    async with RemoteAgent("desk") as desk:
        asked = await desk.send("Plan a trip to Lisbon")
        assert asked.state is TaskState.INPUT_REQUIRED and "Lisbon" in asked.text
        planned = await desk.send("2", task=asked)
        assert (planned.task_id, planned.state) == (asked.task_id, TaskState.COMPLETED)


async def test_all_pages_of_a_list_are_read(server: Process, a2a: ChangeSettings) -> None:
    a2a(REMOTE_AGENTS={"echo": {"URL": f"{server.url}/a2a/echo"}})
    async with RemoteAgent("echo") as echo:
        first = await echo.send("1", context_id="listed")
        others = [(await echo.send(str(number), context_id="listed")) for number in (2, 3)]
        listed = [task async for task in echo.list(context_id="listed", page_size=2)]
    assert {task.task_id for task in listed} == {each.task_id for each in (first, *others)}


@every_way
async def test_a_stream_that_is_cut_comes_back_whole(
    server: Process, a2a: ChangeSettings, binding: str, version: str
) -> None:
    async with Cutter(server.port, events=4, times=3) as cutter:
        a2a(REMOTE_AGENTS={"load": {"URL": f"{cutter.url}/a2a/load"}})
        async with RemoteAgent("load", binding=binding, version=version) as load:
            sent = told(chunks=30, delay=0.01)
            events = [event async for event in load.stream(sent)]
            task = await load.get(events[0])
        assert cutter.left == 0
    assert chunks(events)[:30] == list(range(30))
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert text_of(events) == task.text


async def test_a_server_of_the_sdk_is_spoken_to_in_every_way() -> None:
    transport = sdk_peer()
    for binding, version in WAYS:
        async with RemoteAgent(BASE, transport=transport, binding=binding, version=version) as load:
            events = [event async for event in load.stream(told(chunks=3))]
            assert chunks(events) == [0, 1, 2], (binding, version)
            assert events[-1].state is TaskState.COMPLETED
            sent = await load.send(told(chunks=2))
            assert len(sent.parts) == 2 and sent.state is TaskState.COMPLETED
            assert (await load.get(sent)).artifacts == sent.artifacts
            with pytest.raises(TaskNotFoundError):
                await load.get(UNKNOWN_TASK)


async def test_a_server_of_fasta2a_is_spoken_to() -> None:
    async with fasta2a_peer() as transport, RemoteAgent(BASE, transport=transport) as load:
        events = [event async for event in load.stream(told(chunks=3))]
        assert chunks(events) == [0, 1, 2]
        assert (await load.send(told(chunks=2))).state is TaskState.COMPLETED
        assert (await load.get(events[0])).state is TaskState.COMPLETED


# Agents of the same project.


async def whoami(turn: Turn) -> AsyncIterator[str]:
    yield str(turn.user)


async def asks_another(turn: Turn) -> str:
    """Ask an agent of the same project, for the same user."""
    async with RemoteAgent("whoami", user=turn.user) as other:
        return f"It says: {(await other.send(turn.text)).text}"


async def test_an_agent_of_the_same_project_is_called_without_http(
    runtime: None, a2a: ChangeSettings, django_user_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("a2a_app.client.sdk.SdkConnection", None)
    a2a(PUBLIC_URL="https://agents.example.com", ANONYMOUS="refuse")
    alice = await django_user_model.objects.acreate(username="alice")
    with agent_for_test(whoami), agent_for_test(asks_another):
        async with RemoteAgent("asks-another", user=alice) as agent:
            answer = await agent.send("hello")
            assert answer.text == "It says: alice"
            assert (await agent.get(answer)).state is TaskState.COMPLETED
            assert [task.task_id async for task in agent.list()] == [answer.task_id]
            events = [event async for event in agent.stream("hello")]
            assert [event.number for event in events] == list(range(1, len(events) + 1))
        for url in ("https://agents.example.com/a2a/whoami/", "https://agents.example.com"):
            async with RemoteAgent(url, user=alice) as agent:
                assert (await agent.send("hello")).state is TaskState.COMPLETED
        with pytest.raises(UnauthenticatedError):
            await RemoteAgent("whoami").__aenter__()


async def test_an_agent_of_the_project_is_asked_again_and_followed_again_as_one_elsewhere(
    runtime: None, django_user_model: Any
) -> None:
    alice = await django_user_model.objects.acreate(username="alice")
    with agent_for_test(whoami) as agent:
        async with LocalConnection(agent, alice) as connection:
            params = request_to_send("hello")
            sent = Request(operation="SendMessage", params=params, idempotency_key="one")
            answers = [await connection.ask(sent) for _ in range(2)]
            task_id = answers[0]["task"]["id"]
            assert answers[1]["task"]["id"] == task_id
            followed = SubscribeToTaskRequest(id=task_id)
            rest = Request(operation="SubscribeToTask", params=followed, last_event_id="2")
            events = [event async for event in connection.open(rest)]
            assert events[0].number == 3 and events[-1].state is TaskState.COMPLETED


async def test_what_names_no_agent_is_said_to(a2a: ChangeSettings, runtime: None) -> None:
    with pytest.raises(RemoteAgentError, match="'nobody' is no URL"):
        await RemoteAgent("nobody").__aenter__()


# What happens on the way.


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.com/a2a/x", "must begin with https"),
        ("https://127.0.0.1/a2a/x", "whose address is not public"),
        ("https://169.254.169.254/", "whose address is not public"),
        ("https://[::1]/", "whose address is not public"),
        ("https://93.184.215.14:22/", "has a port"),
    ],
)
async def test_an_agent_is_not_looked_for_inside_the_server_s_network(url: str, why: str) -> None:
    with pytest.raises(RemoteAgentError, match=why):
        await RemoteAgent(url).__aenter__()


async def test_nobody_there_is_an_error_after_some_tries(
    a2a: ChangeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    a2a(REMOTE_AGENTS={"gone": {"URL": "http://127.0.0.1:1/"}})
    with caplog.at_level("INFO", "a2a_app.client"), pytest.raises(UnreachableError) as raised:
        await RemoteAgent("gone").__aenter__()
    assert not raised.value.is_sent
    assert len([line for line in caplog.messages if line.startswith("gone is asked again")]) == 3


async def test_a_page_without_a_card_is_said_to_be_none(
    server: Process, a2a: ChangeSettings
) -> None:
    a2a(REMOTE_AGENTS={"none": {"URL": f"{server.url}/a2a/nobody"}})
    with pytest.raises(RemoteAgentError, match=r"no card at http.*/a2a/nobody/"):
        await RemoteAgent("none").__aenter__()


@pytest.mark.usefixtures("runtime")
async def test_a_webhook_wakes_the_turn_that_an_agent_elsewhere_has_kept_waiting(
    server: Process, a2a: ChangeSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("SHORTEST_LOOK", "LONGEST_LOOK"):  # so that only a webhook wakes it
        monkeypatch.setattr(f"a2a_app.agents.durable.errands.{name}", timedelta(hours=1))
    there = tmp_path / "there"

    async def agent(turn: Turn) -> str:
        said = json.dumps([{"chunks": [{"file": str(there)}]}])
        return f"{(await turn.ask('speaker', said)).state}"

    async with receiving() as receiver:
        a2a(
            REMOTE_AGENTS={"speaker": {"URL": f"{server.url}/a2a/speaker"}},
            PUBLIC_URL=f"http://127.0.0.1:{receiver.port}",
            PUT_AWAY_SECONDS=0.2,
        )
        await runners.current().begin()
        with client_of(agent, durable=True) as client:
            task = await client.send(return_immediately=True)
            await until(models.RemoteTask.objects.filter(has_webhook=True).exists)
            await until(asleep)
            there.touch()
            last = await receiver.says(b"TASK_STATE_COMPLETED")
            assert await hand_on(last, token="forged") == 403
            assert await hand_on(last, body=b"{}") == 204
            assert await database.run(models.RemoteTask.objects.filter(rung_at=None).exists)
            assert await hand_on(last) == 204
            said = (await ended(client, task)).artifacts[0].parts[0].text
    assert said == "TASK_STATE_COMPLETED"
    assert await hand_on(last) == 204  # nobody waits any more
    assert await database.run(asleep) == []


async def hand_on(received: Received, *, token: str = "", body: bytes = b"") -> int:
    """Bring what a webhook of ours got to the URL that it was sent to, and return the status."""
    token = token or received.headers["x-a2a-notification-token"]
    response = await AsyncClient().post(
        received.headers[""].split()[1],
        body or received.raw,
        content_type="application/json",
        headers={"X-A2A-Notification-Token": token},
    )
    return response.status_code
