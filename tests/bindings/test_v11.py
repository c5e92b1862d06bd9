"""The draft of version 1.1: generations as fields, in three bindings, and all else as in 1.0."""

import asyncio
from typing import Any

import pytest

from a2a_app.agents import Turn
from a2a_app.feed.topics import current_feed
from a2a_app.testing import agent_for_test
from tests.clients.http_json import HttpJsonClient, bad_fields_of, json_of, refusal_of
from tests.clients.json_rpc import JsonRpcClient, bad_fields, error_of
from tests.clients.ways import answers_of
from tests.clients.web_socket import WebSocketClient
from tests.conftest import ChangeSettings
from tests.wire import UNKNOWN_TASK, envelope, message

SECONDS = 20
V11 = {"A2A_Version": "1.1"}


@pytest.fixture(autouse=True)
def served(a2a: ChangeSettings) -> None:
    a2a(DRAFTS=["1.1"], PROTOCOL_VERSIONS=["1.1", "1.0", "0.3"])


async def asks(turn: Turn) -> None:
    """Say something in an artifact, and ask."""
    await turn.artifact("as far as it goes")
    await turn.input_required("What?", metadata={"by": "me"})


def without_generations(value: Any) -> Any:
    if isinstance(value, list):
        return [without_generations(each) for each in value]
    if isinstance(value, dict):
        return {k: without_generations(each) for k, each in value.items() if k != "generation"}
    return value


async def test_each_result_has_generations_as_strings_and_is_that_of_1_0_besides(
    rpc: JsonRpcClient,
) -> None:
    with agent_for_test(asks, slug="asks"):
        task = await rpc.send(message(), agent="asks")
        params = {"id": task["id"]}
        for method in ("GetTask", "ListTasks", "GetExtendedAgentCard"):
            of_10 = await rpc.call(method, params, agent="asks")
            of_11 = await rpc.call(method, params, agent="asks", **V11)
            assert without_generations(of_11) == of_10
        got = await rpc.call("GetTask", params, agent="asks", **V11)
        listed = await rpc.call("ListTasks", params, agent="asks", **V11)
        plain = json_of(await HttpJsonClient("asks").get(f"/tasks/{task['id']}", **V11))
        canceled = await rpc.call("CancelTask", params, agent="asks", **V11)
    assert plain == got["result"]
    assert listed["result"]["tasks"][0] == {k: v for k, v in plain.items() if k != "artifacts"}
    assert (plain["generation"], canceled["result"]["generation"]) == ("3", "4")
    assert plain["metadata"] == {"by": "me"}


async def test_each_event_of_a_stream_has_its_generation(rpc: JsonRpcClient) -> None:
    with agent_for_test(asks, slug="asks"):
        sent = envelope("SendStreamingMessage", {"message": message()})
        streamed = await rpc.post(sent, path="/a2a/asks/", **V11)
        items = await answers_of(streamed)
        plain = HttpJsonClient("asks")
        result = json_of(await plain.post("/message:send", {"message": message()}, **V11))
    contents = [content for item in items for content in item.values()]
    assert [each["generation"] for each in contents] == ["1", "2", "3"]
    assert [each.get("metadata") for each in contents] == [None, None, {"by": "me"}]
    assert result["task"]["generation"] == "3"


async def test_a_frame_of_a_websocket_names_it_by_its_headers(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(WEBSOCKET=True)
    named = {"headers": {"A2A-Version": "1.1"}}
    with agent_for_test(asks, slug="asks"):
        async with WebSocketClient("asks") as client:
            sent = client.stream("SendStreamingMessage", message=message(), **named)
            frames = [frame async for frame in sent]
            contents = [content for each in frames for content in each["result"].values()]
            task = contents[0]
            params = {"id": task["id"], "currentGeneration": "2"}
            got = await client.result("GetTask", **params, **named)
    assert [each["generation"] for each in contents] == ["1", "2", "3"]
    assert got["generation"] == "3"


async def test_a_task_is_waited_for_as_parameters_say(rpc: JsonRpcClient) -> None:
    client = HttpJsonClient(**V11)
    task = await rpc.task(end="input-required")
    path, generation = f"/tasks/{task['id']}", await generation_of(client, task["id"])
    waits = [
        asyncio.create_task(get_11(rpc, {"id": task["id"], "currentGeneration": generation})),
        asyncio.create_task(get_11(rpc, {"id": task["id"], "current_generation": int(generation)})),
        asyncio.create_task(get_plain(client, f"{path}?currentGeneration={generation}")),
    ]
    async with asyncio.timeout(SECONDS):
        while current_feed()._streams[""] < len(waits):  # noqa: ASYNC110  # no event is set there
            await asyncio.sleep(0)
    assert not any(each.done() for each in waits)
    await client.post(f"{path}:cancel")
    for answer in await asyncio.gather(*waits):
        assert int(answer["generation"]) == int(generation) + 1
    rest = await client.get(f"{path}:subscribe?currentGeneration={generation}")
    assert [list(each) for each in await answers_of(rest)] == [["statusUpdate"]]


async def generation_of(client: HttpJsonClient, task_id: str) -> str:
    return str((await get_plain(client, f"/tasks/{task_id}"))["generation"])


async def get_plain(client: HttpJsonClient, path: str) -> dict[str, Any]:
    return json_of(await client.get(path))


async def get_11(rpc: JsonRpcClient, params: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = (await rpc.call("GetTask", params, **V11))["result"]
    return result


async def test_a_message_is_refused_as_its_configuration_says(rpc: JsonRpcClient) -> None:
    client = HttpJsonClient("asks", **V11)
    with agent_for_test(asks, slug="asks"):
        task = await rpc.send(message(), agent="asks")
        params = {
            "message": message(taskId=task["id"]),
            "configuration": {"ifGenerationMatch": "1"},
        }
        refused = await rpc.call("SendMessage", params, agent="asks", **V11)
        plain = await client.post("/message:send", params)
        # In 1.0 there is no such field.
        taken = await rpc.call("SendMessage", params, agent="asks")
    assert error_of(refused) == (-32010, "TASK_GENERATION_MISMATCH")
    assert refusal_of(plain) == (409, "TASK_GENERATION_MISMATCH")
    assert "task" in taken["result"]


@pytest.mark.parametrize("value", [-1, "x", 1.5, True, 2**63])
async def test_what_is_no_generation_is_refused(rpc: JsonRpcClient, value: object) -> None:
    params = {"id": UNKNOWN_TASK, "currentGeneration": value}
    assert bad_fields(await rpc.call("GetTask", params, **V11)) == ["currentGeneration"]
    params = {"message": message(), "configuration": {"ifGenerationMatch": value}}
    bad = await HttpJsonClient().post("/message:send", params, **V11)
    assert bad_fields_of(bad) == ["configuration.ifGenerationMatch"]


async def test_cards_list_the_draft_where_it_is_served(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    path = "/.well-known/agent-card.json"
    a2a(
        DRAFTS=["1.1"],
        PROTOCOL_VERSIONS=["1.1", "1.0", "0.3"],
        GRPC_URL="agents.example.com:50051",
    )
    card = json_of(await HttpJsonClient().get(path, **V11))
    listed = [
        (each["protocolVersion"], each["protocolBinding"]) for each in card["supportedInterfaces"]
    ]
    assert listed[:6] == [
        ("1.1", "JSONRPC"),
        ("1.1", "HTTP+JSON"),
        ("1.1", "GRPC"),
        ("1.0", "JSONRPC"),
        ("1.0", "HTTP+JSON"),
        ("1.0", "GRPC"),
    ]
    assert "url" not in card
