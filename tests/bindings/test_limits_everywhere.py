"""The limits of one caller, in every binding: each refuses by its name, and leaves nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest
from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import ParseDict

from a2a_app import database, models
from a2a_app.bindings.grpc.server import GrpcServer
from a2a_app.feed.topics import current_feed
from a2a_app.store.budgets import add_spending
from a2a_app.store.token_usage import Used
from tests.clients.grpc import GrpcClient, refused
from tests.clients.http_json import HttpJsonClient, json_of
from tests.clients.json_rpc import JsonRpcClient
from tests.clients.web_socket import WebSocketClient
from tests.conftest import ChangeSettings
from tests.wire import load_message

URL = "https://192.0.43.10/hook"
SECONDS = 20
SEND, CREATE = "SendMessage", "CreateTaskPushNotificationConfig"
AT_ONCE: dict[str, Any] = {"configuration": {"returnImmediately": True}}
BUDGET = {"per": "agent", "agent": "load", "period": "month", "cost": "0.50"}
# The settings with which one more message is too many, or one more webhook.
MESSAGES: dict[str, dict[str, Any]] = {
    "WAITING_TURNS_PER_OWNER": {"WAITING_TURNS_PER_OWNER": 1, "MAX_RUNS": 1},
    "STORED_BYTES_PER_OWNER": {"STORED_BYTES_PER_OWNER": 1500},
    "REQUESTS_PER_MINUTE": {"REQUESTS_PER_MINUTE": 2},
    "BUDGETS.agent.load.cost.month": {"BUDGETS": [BUDGET]},
}
WEBHOOKS: dict[str, dict[str, Any]] = {
    "PUSH_CONFIGS_PER_TASK": {"PUSH_CONFIGS_PER_TASK": 2},
    "PUSH_BACKLOG_PER_OWNER": {"PUSH_BACKLOG_PER_OWNER": 2},
}


class Binding:
    """Asks by one binding, and tells by which limit that is refused."""

    def __init__(self, name: str, stack: AsyncExitStack) -> None:
        self.name = name
        self._stack = stack
        self._socket = WebSocketClient(scope={"client": ["127.0.0.1", 50000]})

    async def connect(self) -> None:
        """Open a connection that lasts, before there are limits: a handshake counts as well."""
        if self.name == "WEBSOCKET":
            await self._stack.enter_async_context(self._socket)

    async def limit(self, method: str, params: dict[str, Any]) -> str:
        """Ask for what is too much, and return the limit that the error names."""
        error = await self._error(method, params)
        info = (error.get("details") or error["data"])[0]
        assert info["reason"] == "RESOURCE_EXHAUSTED"
        return str(info["metadata"]["limit"])

    async def refusal(self, method: str, params: dict[str, Any]) -> str:
        """Ask for what is refused, and return the text of the error."""
        if self.name == "GRPC":  # its library refuses what is too large, and has no details
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await (await self._over_grpc(method, params))
            return str(refusal.value.details())
        return str((await self._error(method, params))["message"])

    async def _error(self, method: str, params: dict[str, Any]) -> Any:
        match self.name:
            case "JSONRPC":
                return (await JsonRpcClient().call(method, params))["error"]
            case "HTTP+JSON":
                path = "/message:send"
                if method == CREATE:
                    path = f"/tasks/{params['taskId']}/pushNotificationConfigs"
                return json_of(await HttpJsonClient().post(path, params))["error"]
            case "GRPC":
                _, error = await refused(await self._over_grpc(method, params))
                return error
            case _:
                await self._socket.ask("one", method, **params)
                return (await self._socket.receive())["error"]

    async def _over_grpc(self, method: str, params: dict[str, Any]) -> Any:
        server = GrpcServer("127.0.0.1", 0)
        await server.start()
        self._stack.push_async_callback(server.end)
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.port}")
        await self._stack.enter_async_context(channel)
        kind = pb.SendMessageRequest if method == SEND else pb.TaskPushNotificationConfig
        return GrpcClient(channel).call(method, ParseDict(params, kind()))


@pytest.fixture(params=["JSONRPC", "HTTP+JSON", "GRPC", "WEBSOCKET"])
async def binding(
    request: pytest.FixtureRequest, a2a: ChangeSettings, rpc: JsonRpcClient, one_minute: None
) -> AsyncIterator[Binding]:
    a2a(PUBLIC_URL="https://agents.example.com", WEBSOCKET=True)
    async with AsyncExitStack() as stack:
        binding = Binding(request.param, stack)
        await binding.connect()
        yield binding


def rows() -> list[int]:
    kinds = (models.Task, models.Context, models.Message, models.Run, models.PushNotificationConfig)
    return [kind.objects.count() for kind in kinds]


@pytest.mark.parametrize("limit", MESSAGES)
async def test_a_message_too_many_is_refused_by_its_limit(
    a2a: ChangeSettings, rpc: JsonRpcClient, binding: Binding, limit: str
) -> None:
    said = {"message": load_message(end="hang"), **AT_ONCE}
    a2a(**MESSAGES[limit])
    for _ in range(2):
        await rpc.result(SEND, **said)
    await database.run(add_spending, "name:bob", "load", Used.checked("m", 1, 1, "0.5", "USD"))
    before = await database.read(rows)
    assert await binding.limit(SEND, {"message": load_message(end="hang"), **AT_ONCE}) == limit
    assert await database.read(rows) == before


async def test_a_call_too_many_that_waits_is_refused_by_its_limit(
    a2a: ChangeSettings, rpc: JsonRpcClient, binding: Binding
) -> None:
    a2a(STREAMS_PER_OWNER=1)
    waits = asyncio.create_task(rpc.result(SEND, message=load_message(end="hang")))
    async with asyncio.timeout(SECONDS):
        while not current_feed()._streams[""]:  # noqa: ASYNC110  # no event is set there
            await asyncio.sleep(0)
        while not await database.read(models.Task.objects.exists):  # noqa: ASYNC110  # nor here
            await asyncio.sleep(0)
    before = await database.read(rows)
    said = {"message": load_message(end="hang")}
    assert await binding.limit(SEND, said) == "STREAMS_PER_OWNER"
    assert await database.read(rows) == before
    waits.cancel()


@pytest.mark.parametrize("limit", WEBHOOKS)
async def test_a_webhook_too_many_is_refused_by_its_limit(
    a2a: ChangeSettings, rpc: JsonRpcClient, binding: Binding, limit: str
) -> None:
    a2a(**WEBHOOKS[limit])
    task = (await rpc.result(SEND, message=load_message(end="hang"), **AT_ONCE))["task"]
    for name in "ab":
        await rpc.result(CREATE, taskId=task["id"], id=name, url=URL)
    before = await database.read(rows)
    asked = {"taskId": task["id"], "id": "c", "url": URL}
    assert await binding.limit(CREATE, asked) == limit
    assert await database.read(rows) == before


async def test_a_message_of_too_many_values_is_refused_and_nothing_is_left(
    a2a: ChangeSettings, rpc: JsonRpcClient, binding: Binding
) -> None:
    a2a(MAX_JSON_VALUES=100)
    before = await database.read(rows)
    said = {**load_message(), "parts": [{"data": {"of": [1] * 200}}]}
    assert "than 100 values" in await binding.refusal(SEND, {"message": said})
    assert await database.read(rows) == before


async def test_a_message_of_too_many_bytes_is_refused_and_nothing_is_left(
    a2a: ChangeSettings, rpc: JsonRpcClient, binding: Binding
) -> None:
    a2a(MAX_BODY_BYTES=5000)
    before = await database.read(rows)
    said = {**load_message(), "parts": [{"text": "x" * 5000}]}
    refusal = await binding.refusal(SEND, {"message": said})
    assert "larger than" in refusal
    assert "5000" in refusal
    assert await database.read(rows) == before
    said["parts"] = [{"text": "x" * 4000}]
    await rpc.result(SEND, message=said)
