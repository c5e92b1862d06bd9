"""Webhooks of 0.3 get the task, in the words of 0.3."""

from tests.bindings.test_v03 import result
from tests.clients.json_rpc import JsonRpcClient
from tests.conftest import ChangeSettings
from tests.receiver import receiving
from tests.wire_v03 import message


async def test_a_webhook_of_0_3_gets_the_task_as_it_is(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(PUSH_HOSTS=["127.0.0.1"], PUSH_ALLOW_HTTP=True)
    async with receiving() as receiver:
        config = {"url": receiver.url, "token": "t"}
        configuration = {"blocking": True, "pushNotificationConfig": config}
        said = message('{"chunks": 2}')
        task = await result(rpc, "message/send", message=said, configuration=configuration)
        await receiver.gets(1)
        while receiver.bodies[-1]["status"]["state"] != "completed":
            await receiver.gets(len(receiver.requests) + 1)
    assert receiver.bodies[-1] == task
    assert task["kind"] == "task"
    for request in receiver.requests:
        assert request.headers["content-type"] == "application/json"
        assert request.headers["x-a2a-notification-token"] == "t"


async def test_a_webhook_of_0_3_gets_the_task_first_where_the_settings_say_so(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(PUSH_HOSTS=["127.0.0.1"], PUSH_ALLOW_HTTP=True, PUSH_SNAPSHOT=True, SWEEP_SECONDS=300.0)
    said = message('{"end": "input-required"}')
    task = await result(rpc, "message/send", message=said, configuration={"blocking": True})
    async with receiving() as receiver:
        config = {"taskId": task["id"], "pushNotificationConfig": {"url": receiver.url}}
        await result(rpc, "tasks/pushNotificationConfig/set", **config)
        await receiver.gets(1)
    assert receiver.bodies == [task]
