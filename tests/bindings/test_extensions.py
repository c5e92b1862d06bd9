"""Extensions (section 4.6): what is declared, what is required, and what is activated."""

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from a2a_app import models
from a2a_app.agents import AgentExtension, Turn, registry
from a2a_app.agents.extensions import STREAM_RESUMPTION
from a2a_app.agents.registry import make_agent
from a2a_app.operations import OPERATIONS
from tests.clients.http_json import HttpJsonClient, json_of
from tests.clients.json_rpc import JsonRpcClient, bad_fields, body_of, error_of, events_of
from tests.clients.ways import WAYS, Way, answers_of, code_of
from tests.servers import ROOT
from tests.wire import UNKNOWN_TASK, envelope, message, strict_json

EXTENSION = (-32008, "EXTENSION_SUPPORT_REQUIRED")

URI, OTHER = "https://example.com/ext/one", "https://example.com/ext/two"


async def says_its_extensions(turn: Turn) -> None:
    await turn.complete(" ".join(turn.extensions) or "none")


def extended(*, required: bool) -> Any:
    extensions = [AgentExtension(uri=URI, required=required), AgentExtension(uri=OTHER)]
    made = make_agent(says_its_extensions, slug="extended", extensions=extensions)
    return registry.registered(made)


@pytest.mark.parametrize("method", OPERATIONS)
async def test_an_extension_that_the_agent_requires_must_be_named(
    rpc: JsonRpcClient, method: str
) -> None:
    params = {"id": UNKNOWN_TASK, "message": message(), "taskId": UNKNOWN_TASK}
    with extended(required=True):
        for headers in ({}, {"A2A_Extensions": OTHER}, {"A2A_Extensions": f"{URI}/more"}):
            answer = await rpc.call(method, params, agent="extended", **headers)
            assert error_of(answer) == EXTENSION
            assert answer["error"]["data"][0]["metadata"] == {"uri": URI}


@pytest.mark.parametrize(
    ("named", "activated"),
    [
        ("", ""),
        (URI, URI),
        (f" {OTHER} ,{URI},", f"{URI}, {OTHER}"),
        (f"https://example.com/unknown,{OTHER}", OTHER),
        ("https://example.com/unknown", ""),
    ],
)
async def test_activated_extensions_come_back_and_reach_the_agent(
    rpc: JsonRpcClient, named: str, activated: str
) -> None:
    path = "/a2a/extended/"
    with extended(required=False):
        request = envelope("SendMessage", {"message": message()})
        response = await rpc.post(request, path=path, A2A_Extensions=named)
        request = envelope("SendStreamingMessage", {"message": message()})
        stream = await rpc.post(request, path=path, A2A_Extensions=named)
        await events_of(stream)
    assert response.get("A2A-Extensions", "") == stream.get("A2A-Extensions", "") == activated
    (part,) = body_of(response)["result"]["task"]["status"]["message"]["parts"]
    assert part["text"] == (activated.replace(",", "") or "none")


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_an_extension_is_activated_and_required_the_same_way_everywhere(
    rpc: JsonRpcClient, way: Way
) -> None:
    params = {"message": message()}
    with extended(required=True):
        refused = await way.send(rpc, params, agent="extended")
        [answer] = await answers_of(refused)
        assert code_of(answer)[0] in (EXTENSION[0], EXTENSION[1])
        assert URI in code_of(answer)[1]
        assert way.extensions_header not in refused
        # Each version has a header of its own, and either is understood.
        for header in ("A2A_Extensions", "X_A2A_Extensions"):
            sent = await way.send(rpc, params, agent="extended", **{header: f"{OTHER}, {URI}"})
            answers = await answers_of(sent)
            assert sent[way.extensions_header] == f"{URI}, {OTHER}"
            assert f"{URI} {OTHER}" in str(answers[-1])


async def test_extensions_in_several_headers_are_one_list(rpc: JsonRpcClient) -> None:
    with extended(required=False):
        response = await rpc.post(
            envelope("SendMessage", {"message": message()}),
            path="/a2a/extended/",
            A2A_Extensions=URI,
            X_A2A_Extensions=OTHER,
        )
    assert response["A2A-Extensions"] == f"{URI}, {OTHER}"


async def test_a_refused_request_leaves_nothing_behind_where_an_extension_is_missing(
    rpc: JsonRpcClient,
) -> None:
    with extended(required=True):
        assert error_of(await rpc.call("SendMessage", {"message": message()}, agent="extended"))
        listed = await rpc.call("ListTasks", {}, agent="extended", A2A_Extensions=URI)
    assert listed["result"]["tasks"] == []


async def test_every_agent_that_streams_declares_that_its_streams_can_be_resumed(
    rpc: JsonRpcClient,
) -> None:
    streams = make_agent(says_its_extensions, slug="streams")
    does_not = make_agent(says_its_extensions, slug="does-not", streaming=False)
    with registry.registered(streams, does_not):
        found = {}
        for slug in ("streams", "does-not"):
            card = json_of(await HttpJsonClient(slug).get("/.well-known/agent-card.json"))
            declared = card["capabilities"].get("extensions", [])
            found[slug] = [each for each in declared if each["uri"] == STREAM_RESUMPTION.uri]
    assert found == {"streams": [STREAM_RESUMPTION.to_dict()], "does-not": []}


def test_the_page_on_an_extension_shows_what_cards_say() -> None:
    page = (ROOT / "docs" / "extensions" / "stream-resumption.md").read_text()
    declaration = page.partition("```json\n")[2].partition("```")[0]
    assert strict_json(declaration) == STREAM_RESUMPTION.to_dict()
    assert f"| `{STREAM_RESUMPTION.uri}` |" in page


async def test_a_resumed_stream_may_name_the_extension_and_finds_it_in_the_answer(
    rpc: JsonRpcClient,
) -> None:
    task = await rpc.task(chunks=3)
    response = await rpc.post(
        envelope("SubscribeToTask", {"id": task["id"]}),
        A2A_Version="1.0",
        A2A_Extensions=STREAM_RESUMPTION.uri,
        Last_Event_ID="0",
    )
    assert response["A2A-Extensions"] == STREAM_RESUMPTION.uri
    whole = await events_of(response)
    resumed = envelope("SubscribeToTask", {"id": task["id"]})
    rest = await events_of(await rpc.post(resumed, A2A_Version="1.0", Last_Event_ID="2"))
    assert rest == whole[2:] and rest


@pytest.mark.parametrize("seen", ["0", "1"])
async def test_a_stream_of_an_ended_task_whose_log_is_gone_is_refused_as_one_of_an_ended_task(
    rpc: JsonRpcClient, seen: str
) -> None:
    task = await rpc.task(end="completed")
    await sync_to_async(models.Event.objects.filter(task=task["id"]).delete)()
    async with asyncio.timeout(10):
        answer = await rpc.call("SubscribeToTask", {"id": task["id"]}, Last_Event_ID=seen)
        assert answer["error"]["code"] == -32004
        assert "The task has ended: completed" in answer["error"]["message"]
        late = await rpc.call("SubscribeToTask", {"id": task["id"]}, Last_Event_ID="9")
        assert bad_fields(late) == ["Last-Event-ID"]
    assert (await rpc.call("GetTask", {"id": task["id"]}))["result"] == task
