"""Webhooks of clients that know generations: each notification says the task's."""

from typing import Any

import pytest

from a2a_app.agents.extensions import TASK_GENERATIONS
from tests.clients.http_json import HttpJsonClient
from tests.clients.json_rpc import JsonRpcClient
from tests.conftest import ChangeSettings
from tests.receiver import receiving
from tests.wire import envelope, load_message, message, state
from tests.wire_v03 import message as message_of_03

pytestmark = pytest.mark.usefixtures("runtime")

URI = TASK_GENERATIONS.uri
NAMED = {"A2A_Extensions": URI}
SENT = {"PUSH_HOSTS": ["127.0.0.1"], "PUSH_ALLOW_HTTP": True, "PUSH_CHUNKS": True}


def content_of(body: dict[str, Any]) -> dict[str, Any]:
    """Return the task or the event of a notification."""
    [content] = body.values()
    assert isinstance(content, dict)
    return content


@pytest.mark.slow
async def test_each_notification_says_its_generation_and_what_the_client_said(
    a2a: ChangeSettings,
) -> None:
    a2a(DRAFTS=["1.1"], PUSH_SNAPSHOT=True, **SENT)
    client = HttpJsonClient(**NAMED)
    said = {"message": load_message(chunks=1, end="input-required")}
    task = (await client.result("POST", "/message:send", said))["task"]
    first = task["metadata"][URI]["generation"]
    async with receiving() as receiver:
        path = f"/tasks/{task['id']}/pushNotificationConfigs"
        await client.result("POST", path, {"id": "one", "url": receiver.url})
        await receiver.gets(1)
        more = load_message(chunks=0) | {"taskId": task["id"], "messageId": "more"}
        ended = (await client.result("POST", "/message:send", {"message": more}))["task"]
        last = ended["metadata"][URI]["generation"]
        await receiver.gets(1 + last - first)
    marks = [content_of(body)["metadata"][URI] for body in receiver.bodies]
    assert [each["generation"] for each in marks] == list(range(first, last + 1))
    assert marks[1]["message"]["messageId"] == "more"
    assert [state(body) for body in receiver.bodies[:2]] == ["INPUT_REQUIRED", "SUBMITTED"]


async def test_a_webhook_of_1_1_has_generations_as_fields(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(DRAFTS=["1.1"], PROTOCOL_VERSIONS=["1.1", "1.0"], **SENT)
    async with receiving() as receiver:
        params = {
            "message": load_message(chunks=2),
            "configuration": {"taskPushNotificationConfig": {"url": receiver.url}},
        }
        sent = await rpc.call("SendMessage", params, A2A_Version="1.1")
        last = int(sent["result"]["task"]["generation"])
        await receiver.gets(last - 1)
    contents = [content_of(body) for body in receiver.bodies]
    assert [each["generation"] for each in contents] == [str(n) for n in range(2, last + 1)]
    assert all(URI not in each.get("metadata", {}) for each in contents)


@pytest.mark.parametrize("named", [True, False])
async def test_only_a_client_of_0_3_that_names_the_extension_is_told(
    a2a: ChangeSettings, rpc: JsonRpcClient, named: bool
) -> None:
    a2a(DRAFTS=["1.1"], **SENT)
    async with receiving() as receiver:
        push = {"url": receiver.url}
        params = {
            "message": message_of_03('{"end": "input-required"}'),
            "configuration": {"blocking": True, "pushNotificationConfig": push},
        }
        headers = {"A2A_Version": "0.3"} | ({"X_A2A_Extensions": URI} if named else {})
        task = (await rpc.answer(envelope("message/send", params), **headers))["result"]
        while not receiver.bodies or receiver.bodies[-1]["status"] != task["status"]:
            await receiver.gets(len(receiver.requests) + 1)
    assert receiver.bodies[-1] == task
    assert (URI in task.get("metadata", {})) is named


async def test_other_webhooks_get_what_they_got_before(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(DRAFTS=["1.1"], **SENT)
    async with receiving() as receiver:
        push = {"url": receiver.url}
        configuration = {"taskPushNotificationConfig": push}
        await rpc.call("SendMessage", {"message": message("{}"), "configuration": configuration})
        await receiver.gets(2)
    assert not any(URI in body.decode() for body in (each.raw for each in receiver.requests))
