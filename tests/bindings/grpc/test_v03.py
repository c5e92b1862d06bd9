"""The service of 0.3 over gRPC, with the messages of its own proto."""

import json
from typing import Any
from uuid import uuid4

import grpc
import pytest
from a2a.client import ClientConfig, ClientFactory
from a2a.compat.v0_3 import a2a_v0_3_pb2 as pb
from a2a.compat.v0_3.a2a_v0_3_pb2_grpc import A2AServiceStub
from a2a.types import a2a_pb2 as newest
from a2a.utils import errors
from google.protobuf.json_format import MessageToDict

from a2a_app.agents import AgentSkill, Turn, registry
from a2a_app.agents.registry import make_agent
from a2a_app.bindings.grpc.server import GrpcServer
from tests.bindings import users
from tests.clients.grpc import GrpcClient, items_of, refused
from tests.clients.sdk import SdkClient, load_message, plain_http, state
from tests.conftest import ChangeSettings
from tests.wire import UNKNOWN_TASK, WEBHOOK

CANCELED = pb.TASK_STATE_CANCELLED


@pytest.fixture
def old(client: GrpcClient) -> GrpcClient:
    """Call the service of 0.3."""
    made = client.calls("load")
    made.stub = A2AServiceStub(client.channel)  # type: ignore[no-untyped-call]  # it has no types
    return made


def message(*parts: pb.Part, **load: Any) -> pb.Message:
    said = parts or [pb.Part(text=json.dumps(load))]
    return pb.Message(message_id=str(uuid4()), role=pb.ROLE_USER, content=said)


def request(said: pb.Message, **configuration: Any) -> pb.SendMessageRequest:
    blocking = pb.SendMessageConfiguration(**{"blocking": True, **configuration})
    return pb.SendMessageRequest(request=said, configuration=blocking)


async def test_a_message_is_answered_by_the_task_in_its_own_form(old: GrpcClient) -> None:
    answer = await old.call("SendMessage", request(message(chunks=2)))
    assert answer.task.status.state == pb.TASK_STATE_COMPLETED
    assert answer.task.history[0].content[0].text == '{"chunks": 2}'
    found = await old.call("GetTask", pb.GetTaskRequest(name=f"tasks/{answer.task.id}"))
    assert found == answer.task


async def test_who_does_not_want_to_wait_gets_the_task_as_it_begins(old: GrpcClient) -> None:
    answer = await old.call("SendMessage", request(message(end="hang"), blocking=False))
    assert answer.task.status.state in (pb.TASK_STATE_SUBMITTED, pb.TASK_STATE_WORKING)
    named = pb.CancelTaskRequest(name=f"tasks/{answer.task.id}")
    assert (await old.call("CancelTask", named)).status.state == CANCELED
    # In 0.3 it has already reached a terminal state.
    code, status = await refused(old.call("CancelTask", named))
    assert code == "FAILED_PRECONDITION"
    assert status["message"].startswith("TaskNotCancelableError: ")


async def test_a_stream_ends_with_its_final_event(old: GrpcClient) -> None:
    items = await items_of(old.stream("SendStreamingMessage", request(message(chunks=3))))
    finals = [item["statusUpdate"].get("final") for item in items if "statusUpdate" in item]
    assert "task" in items[0] and finals == [None, True]
    waits = await old.call("SendMessage", request(message(end="input-required")))
    named = pb.TaskSubscriptionRequest(name=f"tasks/{waits.task.id}")
    followed = await items_of(old.stream("TaskSubscription", named))
    assert followed[-1]["statusUpdate"]["final"]


async def test_files_and_data_come_through_as_they_are(old: GrpcClient) -> None:
    data = pb.DataPart()
    data.data.update({"n": 1.5, "list": [None, True]})
    parts = (
        pb.Part(file=pb.FilePart(file_with_bytes=b"\0\xff", mime_type="a/b", name="it")),
        pb.Part(file=pb.FilePart(file_with_uri="https://example.com/x", mime_type="a/b")),
        pb.Part(data=data),
    )
    mirror = old.calls("mirror")
    mirror.stub = old.stub
    task = (await mirror.call("SendMessage", request(message(*parts)))).task
    assert tuple(task.history[0].content) == parts
    assert MessageToDict(task.artifacts[0].parts[0].data)["data"]["parts"][2]["data"] == {
        "n": 1.5,
        "list": [None, True],
    }


async def test_push_configurations_have_names(old: GrpcClient) -> None:
    task = (await old.call("SendMessage", request(message(end="input-required")))).task
    parent = f"tasks/{task.id}"
    told = pb.PushNotificationConfig(url=WEBHOOK, token="t")
    config = pb.TaskPushNotificationConfig(push_notification_config=told)
    asked = pb.CreateTaskPushNotificationConfigRequest(
        parent=parent, config_id="one", config=config
    )
    created = await old.call("CreateTaskPushNotificationConfig", asked)
    name = f"{parent}/pushNotificationConfigs/one"
    assert (created.name, created.push_notification_config.url) == (name, WEBHOOK)
    named = pb.GetTaskPushNotificationConfigRequest(name=name)
    assert await old.call("GetTaskPushNotificationConfig", named) == created
    all_of = pb.ListTaskPushNotificationConfigRequest(parent=parent)
    assert list((await old.call("ListTaskPushNotificationConfig", all_of)).configs) == [created]
    gone = pb.DeleteTaskPushNotificationConfigRequest(name=name)
    await old.call("DeleteTaskPushNotificationConfig", gone)
    assert not (await old.call("ListTaskPushNotificationConfig", all_of)).configs


@pytest.mark.parametrize(
    ("method", "asked", "field"),
    [
        ("GetTask", pb.GetTaskRequest(name=UNKNOWN_TASK), "name"),
        ("GetTaskPushNotificationConfig", pb.GetTaskPushNotificationConfigRequest(), "name"),
        ("ListTaskPushNotificationConfig", pb.ListTaskPushNotificationConfigRequest(), "parent"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
async def test_what_is_no_name_is_refused(
    old: GrpcClient, method: str, asked: Any, field: str
) -> None:
    code, status = await refused(old.call(method, asked))
    assert code == "INVALID_ARGUMENT"
    assert status["message"].startswith(f"InvalidParamsError: Invalid parameters: {field} must be")


async def test_fields_are_named_in_errors_as_the_proto_has_them(old: GrpcClient) -> None:
    code, status = await refused(old.call("SendMessage", request(message(pb.Part()))))
    assert code == "INVALID_ARGUMENT"
    assert status["details"][1]["fieldViolations"][0]["field"] == "message.content[0]"


async def test_that_there_is_no_card_for_known_callers_has_the_name_of_0_3(
    old: GrpcClient,
) -> None:
    code, status = await refused(old.call("GetAgentCard", pb.GetAgentCardRequest()))
    assert code == "FAILED_PRECONDITION"
    assert status["message"].startswith("AuthenticatedExtendedCardNotConfiguredError: ")


async def test_the_card_for_known_callers_is_one_of_0_3(
    old: GrpcClient, a2a: ChangeSettings
) -> None:
    async def run(turn: Turn) -> None:
        """Do nothing."""

    skill = AgentSkill(id="secret", name="Secret", description="For some.", tags=["x"])
    a2a(
        ANONYMOUS="refuse",
        AUTHENTICATION=[f"{users.__name__}.ByBearer"],
        GRPC_URL="agents.example.com:50051",
        DEFAULT_AGENT="shown",
    )
    with registry.registered(make_agent(run, slug="shown", extended_skills=[skill])):
        ann = old.calls("shown", authorization=f"Bearer {users.TOKEN}")
        ann.stub = old.stub
        card = await ann.call("GetAgentCard", pb.GetAgentCardRequest())
        code, _ = await refused(old.call("GetAgentCard", pb.GetAgentCardRequest()))
    assert code == "UNAUTHENTICATED"
    assert [each.id for each in card.skills] == ["shown", "secret"]
    assert card.protocol_version == "0.3.0"
    assert card.security_schemes["ByBearer"].http_auth_security_scheme.scheme == "Bearer"
    assert list(card.security[0].schemes) == ["ByBearer"]
    assert ("agents.example.com:50051", "GRPC") in [
        (each.url, each.transport) for each in card.additional_interfaces
    ]


async def test_the_service_is_not_there_where_0_3_is_not_served(
    a2a: ChangeSettings, runtime: None
) -> None:
    a2a(PUBLIC_URL="https://agents.example.com", PROTOCOL_VERSIONS=["1.0"])
    server = GrpcServer("127.0.0.1", 0)
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub: Any = A2AServiceStub(channel)  # type: ignore[no-untyped-call]  # it has no types
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await stub.GetTask(pb.GetTaskRequest(name=f"tasks/{UNKNOWN_TASK}"))
        assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED
    await server.end()


async def test_the_official_sdk_speaks_it_to_a_server_of_0_3_only(server: GrpcServer) -> None:
    url = f"127.0.0.1:{server.port}"
    interface = newest.AgentInterface(url=url, protocol_binding="GRPC", protocol_version="0.3")
    card = newest.AgentCard(name="Echo", supported_interfaces=[interface])
    card.capabilities.streaming = True
    config = ClientConfig(
        supported_protocol_bindings=["GRPC"], grpc_channel_factory=grpc.aio.insecure_channel
    )
    async with plain_http() as http, ClientFactory(config).create(card) as sdk:
        client = SdkClient(sdk, http, card)
        items = await client.stream(load_message())
        task_id = items[0].task.id
        assert state(items[-1]) == "COMPLETED"
        assert state(await client.get(task_id)) == "COMPLETED"
        with pytest.raises(errors.TaskNotCancelableError):
            await client.cancel(task_id)
        with pytest.raises(errors.TaskNotFoundError):
            await client.get(UNKNOWN_TASK)
