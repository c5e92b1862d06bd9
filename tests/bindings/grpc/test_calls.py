"""The gRPC binding (section 10): calls and streams, their metadata, and the agents they name."""

import asyncio
import json
from typing import Any

import pytest
from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import MessageToDict, ParseDict

from a2a_app.operations.generations import URI as GENERATIONS
from tests.app.agents import MIRROR_EXTENSION
from tests.bindings import resolvers, users
from tests.clients.grpc import GrpcClient, items_of, refused
from tests.clients.json_rpc import JsonRpcClient, body_of
from tests.conftest import ChangeSettings
from tests.wire import UNKNOWN_TASK, WEBHOOK, load_message, message, state, text

CARD = "/a2a/{}/.well-known/agent-card.json"


def asked_to_send(said: dict[str, Any], **more: Any) -> pb.SendMessageRequest:
    request: pb.SendMessageRequest = ParseDict({"message": said, **more}, pb.SendMessageRequest())
    return request


async def test_all_operations_do_over_grpc_what_they_do_over_json_rpc(
    client: GrpcClient, rpc: JsonRpcClient
) -> None:
    task = await client.send(load_message(chunks=3, end="input-required"))
    got = await client.call("GetTask", pb.GetTaskRequest(id=task["id"]))
    assert MessageToDict(got) == task
    # As messages: the JSON of a whole second has no fraction in Google's library, and one in ours.
    assert got == ParseDict(await rpc.result("GetTask", id=task["id"]), pb.Task())
    listed = await client.call("ListTasks", pb.ListTasksRequest(context_id=task["contextId"]))
    assert ([each.id for each in listed.tasks], listed.total_size) == ([task["id"]], 1)
    config = {"taskId": task["id"], "id": "one", "url": WEBHOOK}
    created = await client.call(
        "CreateTaskPushNotificationConfig", ParseDict(config, pb.TaskPushNotificationConfig())
    )
    assert MessageToDict(created) == config
    named = pb.GetTaskPushNotificationConfigRequest(task_id=task["id"], id="one")
    assert await client.call("GetTaskPushNotificationConfig", named) == created
    all_of = pb.ListTaskPushNotificationConfigsRequest(task_id=task["id"])
    assert list((await client.call("ListTaskPushNotificationConfigs", all_of)).configs) == [created]
    gone = pb.DeleteTaskPushNotificationConfigRequest(task_id=task["id"], id="one")
    await client.call("DeleteTaskPushNotificationConfig", gone)
    assert not (await client.call("ListTaskPushNotificationConfigs", all_of)).configs
    canceled = await client.call("CancelTask", pb.CancelTaskRequest(id=task["id"]))
    assert canceled.status.state == pb.TASK_STATE_CANCELED


async def test_a_stream_shows_the_task_and_each_event_to_its_end(client: GrpcClient) -> None:
    items = await items_of(
        client.stream("SendStreamingMessage", asked_to_send(load_message(chunks=20)))
    )
    assert [state(items[0]), state(items[-1])] == ["SUBMITTED", "COMPLETED"]
    assert len([item for item in items if text(item)]) == 20


async def test_a_task_may_be_subscribed_to_and_canceled_from_another_call(
    client: GrpcClient,
) -> None:
    sent = client.stream("SendStreamingMessage", asked_to_send(load_message(end="hang", chunks=1)))
    task = (await anext(aiter(sent))).task
    followed = client.stream("SubscribeToTask", pb.SubscribeToTaskRequest(id=task.id))
    assert (await anext(aiter(followed))).task.id == task.id
    await client.call("CancelTask", pb.CancelTaskRequest(id=task.id))
    assert state((await items_of(sent))[-1]) == "CANCELED"
    assert state((await items_of(followed))[-1]) == "CANCELED"


async def test_extensions_are_activated_by_metadata_and_the_answer_says_which(
    client: GrpcClient,
) -> None:
    mirror = client.calls("mirror", a2a_extensions=f"{MIRROR_EXTENSION}, urn:unknown")
    call = mirror.start("SendMessage", asked_to_send(message("hi")))
    data = MessageToDict(await call)["task"]["artifacts"][0]["parts"][0]["data"]
    assert data["extensions"] == [MIRROR_EXTENSION]
    assert dict([*await call.initial_metadata()])["a2a-extensions"] == MIRROR_EXTENSION


async def test_generations_number_events_and_a_stream_goes_on_after_one(
    client: GrpcClient, a2a: ChangeSettings
) -> None:
    a2a(DRAFTS=["1.1"])
    knows = client.calls("load", a2a_extensions=GENERATIONS)
    said = asked_to_send(load_message(chunks=5, end="input-required"))
    items = await items_of(knows.stream("SendStreamingMessage", said))
    bodies = [next(iter(item.values())) for item in items]
    numbers = [int(body["metadata"][GENERATIONS]["generation"]) for body in bodies]
    assert numbers == list(range(1, len(items) + 1))
    task_id = items[0]["task"]["id"]
    await client.call("CancelTask", pb.CancelTaskRequest(id=task_id))
    subscribe = pb.SubscribeToTaskRequest(id=task_id)
    rest = knows.stream("SubscribeToTask", subscribe, a2a_current_generation="3")
    seen = await items_of(rest)
    assert seen[: len(items) - 3] == items[3:]
    assert state(seen[-1]) == "CANCELED"
    late = knows.call("CancelTask", pb.CancelTaskRequest(id=task_id), a2a_if_generation_match="3")
    assert MessageToDict(await late)["status"]["state"] == "TASK_STATE_CANCELED"
    other = await knows.send(load_message(end="input-required"))
    more = load_message() | {"taskId": other["id"]}
    sent = knows.call("SendMessage", asked_to_send(more), a2a_if_generation_match="1")
    code, status = await refused(sent)
    assert (code, status["details"][0]["reason"]) == ("ABORTED", "TASK_GENERATION_MISMATCH")


@pytest.mark.parametrize("version", ["9.9", "0.3"])
async def test_another_version_than_the_services_is_refused(
    client: GrpcClient, version: str
) -> None:
    call = client.call("ListTasks", pb.ListTasksRequest(), a2a_version=version)
    code, status = await refused(call)
    assert (code, status["details"][0]["reason"]) == (
        "FAILED_PRECONDITION",
        "VERSION_NOT_SUPPORTED",
    )
    assert version in status["message"]


async def test_a_call_names_its_agent_by_metadata_or_by_its_tenant_or_means_the_sites(
    client: GrpcClient,
) -> None:
    nameless = client.calls("")
    for caller, tenant, agent in (
        (client.calls("load"), "", "load"),
        (nameless, "load", "load"),
        (nameless, "load/", "load"),
        (nameless, "", "echo"),
    ):
        task = await caller.send(load_message(chunks=0), tenant=tenant)
        asked = pb.GetTaskRequest(id=task["id"])
        assert (await client.calls(agent).call("GetTask", asked)).id == task["id"], tenant


@pytest.mark.parametrize("by", ["a2a-agent", "tenant"])
async def test_an_agent_that_does_not_exist_is_refused(client: GrpcClient, by: str) -> None:
    named = client.calls("nobody" if by == "a2a-agent" else "")
    tenant = "nobody/acme" if by == "tenant" else ""
    code, status = await refused(named.call("ListTasks", pb.ListTasksRequest(tenant=tenant)))
    assert code == "INVALID_ARGUMENT"
    assert status["message"] == "Invalid parameters: tenant names no agent: 'nobody'"


async def test_a_call_must_name_an_agent_where_none_is_the_sites(
    client: GrpcClient, a2a: ChangeSettings
) -> None:
    a2a(DEFAULT_AGENT="")
    code, status = await refused(client.calls("").call("ListTasks", pb.ListTasksRequest()))
    assert code == "INVALID_ARGUMENT"
    assert "tenant or a2a-agent must name an agent" in status["message"]


async def test_the_card_says_what_to_send_and_so_a_tenant_is_reached(
    client: GrpcClient, rpc: JsonRpcClient, a2a: ChangeSettings
) -> None:
    a2a(TENANT_RESOLVER=f"{resolvers.__name__}.by_name", GRPC_URL="agents.example.com:50051")
    found = {}
    for slug in ("load", "load/acme", "echo", "echo/acme"):
        interfaces = body_of(await rpc.http.get(CARD.format(slug)))["supportedInterfaces"]
        found[slug] = [
            (each["protocolVersion"], each.get("tenant", ""))
            for each in interfaces
            if each["protocolBinding"] == "GRPC"
        ]
        assert {each["url"] for each in interfaces if each["protocolBinding"] == "GRPC"} == {
            "agents.example.com:50051"
        }
    assert found == {
        "load": [("1.0", "load")],
        "load/acme": [("1.0", "load/acme")],
        "echo": [("1.0", ""), ("0.3", "")],
        "echo/acme": [("1.0", "echo/acme")],
    }
    nameless = client.calls("")
    task = await nameless.send(load_message(end="input-required"), tenant="load/acme")
    asked = pb.GetTaskRequest(id=task["id"], tenant="load/acme")
    assert (await nameless.call("GetTask", asked)).id == task["id"]
    for tenant in ("load", "load/globex"):
        asked.tenant = tenant
        assert (await refused(nameless.call("GetTask", asked)))[0] == "NOT_FOUND"
    assert (await rpc.result("GetTask", id=task["id"], tenant="acme"))["id"] == task["id"]
    config = pb.TaskPushNotificationConfig(task_id=task["id"], url=WEBHOOK, tenant="load/acme")
    created = await nameless.call("CreateTaskPushNotificationConfig", config)
    # So that it may be sent as it came.
    assert created.tenant == "load/acme"
    assert await nameless.call("CreateTaskPushNotificationConfig", created) == created


@pytest.mark.parametrize(("opening", "end", "levels"), [('{"a":', "}", 40), ("[", "]", 60)])
async def test_what_protobuf_cannot_nest_so_deeply_is_refused_with_the_way_to_get_it(
    client: GrpcClient,
    rpc: JsonRpcClient,
    caplog: pytest.LogCaptureFixture,
    opening: str,
    end: str,
    levels: int,
) -> None:
    deep = json.loads(opening * levels + "1" + end * levels)
    sent = {**load_message(end="input-required"), "metadata": {"tree": deep}}
    task = await rpc.send(sent, agent="load")
    for name, asked in (
        ("GetTask", pb.GetTaskRequest(id=task["id"])),
        ("ListTasks", pb.ListTasksRequest(page_size=1, history_length=10)),
    ):
        code, status = await refused(client.call(name, asked))
        assert code == "FAILED_PRECONDITION"
        assert "JSON-RPC or HTTP+JSON" in status["message"]
    assert not caplog.records


async def test_callers_are_known_by_their_metadata_and_see_their_own_tasks(
    client: GrpcClient, a2a: ChangeSettings
) -> None:
    a2a(ANONYMOUS="refuse", AUTHENTICATION=[f"{users.__name__}.ByBearer"])
    code, status = await refused(client.call("ListTasks", pb.ListTasksRequest()))
    assert code == "UNAUTHENTICATED"
    assert status["details"][0]["reason"] == "UNAUTHENTICATED"
    ann = client.calls("load", authorization=f"Bearer {users.TOKEN}")
    task = await ann.send(load_message())
    assert (await ann.call("GetTask", pb.GetTaskRequest(id=task["id"]))).id == task["id"]


async def test_a_refusal_names_the_challenge(client: GrpcClient, a2a: ChangeSettings) -> None:
    a2a(ANONYMOUS="refuse", AUTHENTICATION=[f"{users.__name__}.ByBearer"])
    call = client.start("GetTask", pb.GetTaskRequest(id=UNKNOWN_TASK))
    assert (await call.code()).name == "UNAUTHENTICATED"
    assert dict([*await call.trailing_metadata()])["www-authenticate"] == 'Bearer realm="a2a"'


async def test_an_extended_card_is_for_known_callers(
    client: GrpcClient, a2a: ChangeSettings
) -> None:
    code, status = await refused(
        client.call("GetExtendedAgentCard", pb.GetExtendedAgentCardRequest())
    )
    assert code == "FAILED_PRECONDITION"
    assert status["details"][0]["reason"] == "UNSUPPORTED_OPERATION"


async def test_a_large_part_is_a_link_to_the_public_url(
    client: GrpcClient, a2a: ChangeSettings
) -> None:
    a2a(RAW_LIMIT=10)
    part = {"raw": "QUFBQUFBQUFBQUFBQUFBQUFBQQ==", "mediaType": "text/plain"}
    task = await client.calls("mirror").send(message() | {"parts": [part]})
    link = task["history"][0]["parts"][0]["url"]
    assert link.startswith("https://agents.example.com/a2a/files/")


@pytest.mark.slow
async def test_many_calls_at_once_share_one_connection(client: GrpcClient) -> None:
    tasks = await asyncio.gather(*(client.send(load_message(chunks=2)) for _ in range(20)))
    assert len({task["id"] for task in tasks}) == 20
