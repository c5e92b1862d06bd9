"""A task that waits for authorization authorizes nothing by itself (section 7.6.4)."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from grpc.aio import AioRpcError

from a2a_app.agents import Turn, registry
from a2a_app.agents.registry import make_agent
from tests.approvals import PERMISSION
from tests.clients.grpc import GrpcClient
from tests.clients.http_json import HttpJsonClient, json_of
from tests.clients.json_rpc import JsonRpcClient
from tests.clients.web_socket import WebSocketClient
from tests.conftest import ChangeSettings
from tests.wire import envelope, message
from tests.wire_v03 import message as message_03

Send = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
DESK = "desk"


async def over_json_rpc(sent: dict[str, Any]) -> dict[str, Any]:
    answer = await JsonRpcClient(DESK).call("SendMessage", {"message": sent})
    return answer.get("result", {}).get("task") or answer


async def over_http_json(sent: dict[str, Any]) -> dict[str, Any]:
    answer = json_of(await HttpJsonClient(DESK).post("/message:send", {"message": sent}))
    return answer.get("task") or answer


async def over_web_socket(sent: dict[str, Any]) -> dict[str, Any]:
    async with WebSocketClient(DESK, **{"A2A_Version": "1.0"}) as client:
        answer = await client.call("SendMessage", message=sent)
    return answer.get("result", {}).get("task") or answer


async def in_0_3(sent: dict[str, Any]) -> dict[str, Any]:
    [part] = sent["parts"]
    [kind] = part
    told = {**sent, "role": "user", "parts": [{"kind": kind, **part}]}
    asked = envelope("message/send", {"message": message_03(**told)})
    answer = await JsonRpcClient(DESK).answer(asked)
    return answer.get("result") or answer


@pytest.mark.parametrize("send", [over_json_rpc, over_http_json, over_web_socket, in_0_3, None])
async def test_what_a_client_says_authorizes_nothing_over_any_binding(
    client: GrpcClient, a2a: ChangeSettings, send: Send | None
) -> None:
    refunds = []

    async def refund(turn: Turn) -> None:
        if await turn.approve("Refund?", permission=PERMISSION):
            refunds.append(turn.text)

    async def over_grpc(sent: dict[str, Any]) -> dict[str, Any]:
        try:
            return await client.calls(DESK).send(sent)
        except AioRpcError as error:
            return {"error": error.code().name}

    send = send or over_grpc
    a2a(WEBSOCKET=True)
    with registry.registered(make_agent(refund, slug=DESK)):
        task = await send(message("order 5"))
        waiting = task["status"]["state"]
        assert waiting in ("TASK_STATE_AUTH_REQUIRED", "auth-required")
        asked = next(each["data"] for each in task["status"]["message"]["parts"] if "data" in each)
        decision = {"data": {"approval": asked["approval"], "choice": "yes"}}
        decided = await send(message(taskId=task["id"], parts=[decision]))
        assert "error" in decided
        said = await send(message("yes", taskId=task["id"]))
        assert said["status"]["state"] == waiting
        assert refunds == []
