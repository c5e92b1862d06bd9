"""Generations of tasks, as clients see them that activate the extension."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase

from a2a_app import models
from a2a_app.agents import Turn
from a2a_app.agents.extensions import TASK_GENERATIONS
from a2a_app.feed.topics import current_feed
from a2a_app.operations.generations import Generations
from a2a_app.operations.tasks import get_task
from a2a_app.protocol import GetTaskRequest
from a2a_app.testing import agent_for_test
from tests.clients.http_json import HttpJsonClient, bad_fields_of, json_of, refusal_of
from tests.clients.json_rpc import JsonRpcClient, error_of, events_of
from tests.clients.operations import client_of
from tests.clients.ways import WAYS, Way, answers_of
from tests.conftest import ChangeSettings
from tests.servers import ROOT
from tests.wire import UNKNOWN_TASK, envelope, message, strict_json

SECONDS = 20
URI = TASK_GENERATIONS.uri
NAMED = {"A2A_Extensions": URI}


@pytest.fixture(autouse=True)
def drafts(a2a: ChangeSettings) -> None:
    a2a(DRAFTS=["1.1"])


def generations_in(value: Any) -> list[int]:
    """Return the generations that tasks and events say, in their order."""
    if isinstance(value, list):
        return [each for item in value for each in generations_in(item)]
    if not isinstance(value, dict):
        return []
    if URI in value:
        return [value[URI]["generation"]]
    return generations_in(list(value.values()))


async def events_in(response: HttpResponseBase) -> list[dict[str, Any]]:
    """Read a stream of HTTP+JSON to its end."""
    assert isinstance(response, StreamingHttpResponse), response
    async with asyncio.timeout(SECONDS):
        content = b"".join([chunk async for chunk in response])
    lines = [line for line in content.decode().split("\n") if line.startswith("data: ")]
    return [strict_json(line.removeprefix("data: ")) for line in lines]


class Speaks:
    """An agent that asks, and then says something each time that a test lets it."""

    def __init__(self) -> None:
        self.may_speak = asyncio.Semaphore(0)

    async def run(self, turn: Turn) -> None:
        """Ask, or speak."""
        if turn.text == "ask":
            await turn.input_required("What?")
            return
        while True:
            await self.may_speak.acquire()
            await turn.working("Hm…")


async def begun(client: HttpJsonClient) -> str:
    """Return the id of a task of `Speaks`, whose turn has begun or is about to."""
    params = {"message": message(), "configuration": {"returnImmediately": True}}
    result = await client.result("POST", "/message:send", params)
    return str(result["task"]["id"])


async def until_somebody_waits(topics: int = 1) -> None:
    """Wait until tasks are followed."""
    async with asyncio.timeout(SECONDS):
        while len(current_feed()._topics) < topics:  # noqa: ASYNC110  # the feed sets no event
            await asyncio.sleep(0)


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_tasks_and_events_say_their_generations_in_each_way_to_send_and_only_if_asked_for(
    rpc: JsonRpcClient, way: Way
) -> None:
    params = {"message": message("ask")}
    with agent_for_test(Speaks().run, slug="speaks"):
        plain = await way.send(rpc, params, agent="speaks")
        shown = await way.send(rpc, params, agent="speaks", **NAMED)
    assert generations_in(await answers_of(plain)) == []
    assert shown[way.extensions_header] == URI
    assert generations_in(await answers_of(shown)) == ([1, 2] if way.streams else [2])


async def test_each_operation_on_tasks_says_their_generations(rpc: JsonRpcClient) -> None:
    with agent_for_test(Speaks().run, slug="speaks"):
        task = await rpc.send(message("ask"), agent="speaks")
        stream = await rpc.post(
            envelope("SubscribeToTask", {"id": task["id"]}), path="/a2a/speaks/", **NAMED
        )
        answers = [
            await rpc.call(method, params, agent="speaks", **NAMED)
            for method, params in (
                ("ListTasks", {}),
                ("GetTask", {"id": task["id"]}),
                ("CancelTask", {"id": task["id"]}),
            )
        ]
        followed = await events_of(stream)
    assert generations_in(answers) == [2, 2, 3]
    assert generations_in(followed) == [2, 3]


async def test_nothing_is_said_or_promised_where_drafts_are_not_served(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    card = json_of(await HttpJsonClient().get("/.well-known/agent-card.json"))
    assert TASK_GENERATIONS.to_dict() in card["capabilities"]["extensions"]
    a2a(DRAFTS=[])
    card = json_of(await HttpJsonClient().get("/.well-known/agent-card.json"))
    assert URI not in str(card)
    task = await rpc.task()
    answer = await rpc.call("GetTask", {"id": task["id"]}, A2A_Current_Generation="99", **NAMED)
    assert answer["result"] == task


async def test_a_task_is_returned_once_it_is_newer_than_the_client_has_seen_it(
    rpc: JsonRpcClient,
) -> None:
    client, speaks = HttpJsonClient("speaks"), Speaks()
    with agent_for_test(speaks.run, slug="speaks"):
        path = f"/tasks/{await begun(client)}"
        at_once = json_of(await client.get(path, A2A_Current_Generation="0"))
        waits = asyncio.create_task(client.get(path, A2A_Current_Generation="1"))
        waits_for_more = asyncio.create_task(client.get(path, A2A_Current_Generation="2"))
        await until_somebody_waits()
        assert not waits.done()
        speaks.may_speak.release()
        assert generations_in(json_of(await waits)) == [2]
        assert not waits_for_more.done()
        speaks.may_speak.release()
        assert generations_in(json_of(await waits_for_more)) == [3]
    assert generations_in(at_once) == [1]
    assert not current_feed()._streams


async def test_waiting_ends_with_the_task_and_with_the_time(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    client = HttpJsonClient("speaks", A2A_Current_Generation="99")
    with agent_for_test(Speaks().run, slug="speaks"):
        path = f"/tasks/{await begun(client)}"
        waits = asyncio.create_task(client.get(path))
        await until_somebody_waits()
        canceled = json_of(await client.post(f"{path}:cancel"))
        ended = json_of(await waits)
        again = json_of(await client.get(path))
        a2a(DRAFTS=["1.1"], LONG_POLL_SECONDS=0.01)
        path = f"/tasks/{await begun(client)}"
        assert generations_in(json_of(await client.get(path))) == [1]
    assert ended == again == canceled


async def test_a_task_that_is_deleted_while_it_is_waited_for_is_not_found(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(DRAFTS=["1.1"], POLL_SECONDS=0.05)
    client = HttpJsonClient("speaks", A2A_Current_Generation="99")
    with agent_for_test(Speaks().run, slug="speaks"):
        task_id = await begun(client)
        waits = asyncio.create_task(client.get(f"/tasks/{task_id}"))
        await until_somebody_waits()
        await models.Task.objects.filter(pk=task_id).adelete()
        assert (await waits).status_code == 404


async def test_a_server_that_cannot_stream_returns_the_task_at_once(runtime: None) -> None:
    with client_of(Speaks().run) as client:
        task = await client.send("ask")
        call = replace(client.call, can_stream=False, generations=Generations(current=99))
        async with asyncio.timeout(SECONDS):
            shown = await get_task(call, GetTaskRequest(id=task.id))
    assert generations_in(shown.to_dict()) == [2]


async def test_of_two_answers_to_one_question_the_second_is_refused_and_stored_nowhere(
    rpc: JsonRpcClient,
) -> None:
    client = HttpJsonClient("speaks")
    with agent_for_test(Speaks().run, slug="speaks"):
        task = await rpc.send(message("ask"), agent="speaks")
        answers = [{"message": message("ask", taskId=task["id"])} for _ in range(2)]
        at = {"A2A_If_Generation_Match": "2"}
        taken = await rpc.call("SendMessage", answers[0], agent="speaks", **at)
        refused = await rpc.call("SendMessage", answers[1], agent="speaks", **at)
        streamed = await rpc.call("SendStreamingMessage", answers[1], agent="speaks", **at)
        plain = await client.post("/message:send", answers[1], **at)
        found = await rpc.result("GetTask", agent="speaks", id=task["id"])
    # The first turn may be over a moment after its question, which is one event more.
    [current] = generations_in(taken)
    assert error_of(refused) == error_of(streamed) == (-32010, "TASK_GENERATION_MISMATCH")
    assert refused["error"]["data"][0]["metadata"] == {
        "taskId": task["id"],
        "expectedGeneration": "2",
        "currentGeneration": str(current),
    }
    assert refusal_of(plain) == (409, "TASK_GENERATION_MISMATCH")
    assert json_of(plain)["error"]["status"] == "ABORTED"
    said = [each["messageId"] for each in found["history"] if each["role"] == "ROLE_USER"]
    assert said[1:] == [answers[0]["message"]["messageId"]]


async def test_a_cancel_for_another_generation_is_refused_and_one_that_is_sent_again_is_not(
    rpc: JsonRpcClient,
) -> None:
    with agent_for_test(Speaks().run, slug="speaks"):
        task = await rpc.send(message("ask"), agent="speaks")
        answers = [
            await rpc.call(
                "CancelTask", {"id": task["id"]}, agent="speaks", A2A_If_Generation_Match=at
            )
            for at in ("1", "2", "2")
        ]
    assert error_of(answers[0]) == (-32010, "TASK_GENERATION_MISMATCH")
    assert generations_in(answers[1:]) == [3, 3]
    assert answers[1]["result"]["status"]["state"] == "TASK_STATE_CANCELED"


async def test_a_message_that_begins_a_task_is_taken_and_so_is_one_that_is_sent_again(
    rpc: JsonRpcClient,
) -> None:
    with agent_for_test(Speaks().run, slug="speaks"):
        at = {"A2A_If_Generation_Match": "7"}
        begun = await rpc.call("SendMessage", {"message": message("ask")}, agent="speaks", **at)
        task_id = begun["result"]["task"]["id"]
        answer = {"message": message("ask", taskId=task_id)}
        at = {"A2A_If_Generation_Match": "2", "Idempotency_Key": "once"}
        first, again = [
            await rpc.call("SendMessage", answer, agent="speaks", **at) for _ in range(2)
        ]
    assert generations_in(begun) == [2]
    assert generations_in(first) == generations_in(again)
    assert again["result"] == first["result"]


async def test_a_stream_goes_on_after_a_generation_also_where_the_task_has_ended(
    rpc: JsonRpcClient,
) -> None:
    task = await rpc.task(chunks=2)
    client = HttpJsonClient(A2A_Current_Generation="2")
    path = f"/tasks/{task['id']}:subscribe"
    rest = await events_in(await client.get(path))
    newest = rest[-1]["statusUpdate"]["metadata"][URI]["generation"]
    assert generations_in(rest) == list(range(3, newest + 1))
    # What a browser has seen since counts more than the URL that it was given.
    assert await events_in(await client.get(path, Last_Event_ID="3")) == rest[1:]
    nothing_left = await client.get(path, A2A_Current_Generation=str(newest))
    assert refusal_of(nothing_left) == (400, "UNSUPPORTED_OPERATION")
    unknown = await client.get(path, A2A_Current_Generation="99")
    assert bad_fields_of(unknown) == ["A2A-Current-Generation"]
    await models.Event.objects.filter(task=task["id"]).adelete()
    [whole] = await events_in(await client.get(path))
    assert generations_in(whole) == [newest]
    assert whole["task"]["artifacts"] == task["artifacts"]


async def test_whoever_follows_a_task_gets_what_its_client_says(rpc: JsonRpcClient) -> None:
    client = HttpJsonClient("speaks")
    with agent_for_test(Speaks().run, slug="speaks"):
        task = await rpc.send(message("ask"), agent="speaks")
        path = f"/tasks/{task['id']}"
        stream = await client.get(f"{path}:subscribe", A2A_Current_Generation="0")
        plain = await client.get(f"{path}:subscribe")
        answer = message("ask", taskId=task["id"])
        await rpc.send(answer, agent="speaks")
        await client.result("POST", f"{path}:cancel")
        events, others = await events_in(stream), await events_in(plain)
        shown = await client.get(path, A2A_Extensions=URI)
    said = [each["statusUpdate"]["metadata"][URI].get("message") for each in events]
    messages = [each for each in said if each]
    assert messages == [each for each in json_of(shown)["history"] if each["role"] == "ROLE_USER"]
    assert [each["messageId"] for each in messages][1:] == [answer["messageId"]]
    assert generations_in(events) == list(range(1, len(events) + 1))
    assert answer["messageId"] not in str(others)


class Writes:
    """An agent whose artifacts come between its messages."""

    async def run(self, turn: Turn) -> None:
        """Write two artifacts and something after each; ask."""
        writer = turn.open_artifact(artifact_id="open")
        await writer.write("it goes on")
        await turn.working("One.")
        await turn.artifact("two", artifact_id="whole")
        await turn.input_required("What?")


async def test_a_task_says_in_which_order_its_messages_and_artifacts_came(
    rpc: JsonRpcClient,
) -> None:
    client = HttpJsonClient("writes")
    with agent_for_test(Writes().run, slug="writes"):
        task = await rpc.send(message(), agent="writes")
        shown = json_of(await client.get(f"/tasks/{task['id']}", **NAMED))
        short = json_of(await client.get(f"/tasks/{task['id']}?historyLength=0", **NAMED))
        polled = await client.get(f"/tasks/{task['id']}", A2A_Current_Generation="0")
    order = shown["metadata"][URI]["order"]
    [first, one] = shown["history"]
    assert [
        (each["generation"], each.get("messageId", ""), each.get("artifactId", ""))
        for each in order
    ] == [
        (1, first["messageId"], ""),
        (2, "", "open"),
        (3, one["messageId"], ""),
        (4, "", "whole"),
        (5, shown["status"]["message"]["messageId"], ""),
    ]
    assert [each.get("endGeneration") for each in order] == [None, None, None, 4, None]
    times = [each["timestamp"] for each in order]
    assert times == sorted(times) and times[-1] <= shown["status"]["timestamp"]
    assert short["metadata"][URI]["order"] == [order[1], order[3], order[4]]
    assert "order" not in json_of(polled)["metadata"][URI]


@pytest.mark.parametrize("value", ["-1", "1.0", "x", "²", "1" * 19])
async def test_a_generation_that_is_none_is_refused(rpc: JsonRpcClient, value: str) -> None:
    sent = {"A2A_Current_Generation": value}
    refused = await HttpJsonClient().get(f"/tasks/{UNKNOWN_TASK}", **sent)
    assert bad_fields_of(refused) == ["A2A-Current-Generation"]


def test_the_page_on_the_extension_shows_what_cards_say() -> None:
    page = (ROOT / "docs" / "extensions" / "task-generations.md").read_text()
    declaration = page.partition("```json\n")[2].partition("```")[0]
    assert strict_json(declaration) == TASK_GENERATIONS.to_dict()
    assert f"| `{URI}` |" in page
