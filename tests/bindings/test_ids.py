"""Ids in URLs: what one binding accepts works in all, and a task has one id in one spelling."""

from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest

from tests.clients.http_json import HttpJsonClient, bad_fields_of, json_of, refusal_of
from tests.clients.json_rpc import JsonRpcClient, bad_fields, error_of
from tests.wire import WEBHOOK, calls_about, load_message


@pytest.mark.parametrize(
    "webhook_id", ["/", "a/b", "a/", "//", ".", "..", "a\nb", "a\r", "\x01", "a\tb", "\x7f", "\x85"]
)
async def test_an_id_of_a_webhook_that_a_url_cannot_have_is_refused_by_both_bindings(
    rpc: JsonRpcClient, rest: HttpJsonClient, webhook_id: str
) -> None:
    task = await rpc.task(end="input-required")
    config = {"id": webhook_id, "url": WEBHOOK}
    params = {"taskId": task["id"], **config}
    answer = await rpc.call("CreateTaskPushNotificationConfig", params)
    assert bad_fields(answer) == ["id"]
    made = await rest.post(f"/tasks/{task['id']}/pushNotificationConfigs", config)
    assert bad_fields_of(made) == ["id"]
    configuration = {"taskPushNotificationConfig": config}
    said = {"message": load_message(), "configuration": configuration}
    named = bad_fields(await rpc.call("SendMessage", said))
    assert named == ["configuration.taskPushNotificationConfig.id"]


@pytest.mark.parametrize(
    "webhook_id",
    [
        "a",
        "a b",
        "a:cancel",
        "a?b#c",
        "100%",
        "%2F",
        "a\\b",
        "...",
        "a+b",
        "~",
        "x" * 255,
    ],
)
async def test_any_other_id_of_a_webhook_works_in_both_bindings(
    rpc: JsonRpcClient, rest: HttpJsonClient, webhook_id: str
) -> None:
    task = await rpc.task(end="input-required")
    names = {"taskId": task["id"], "id": webhook_id}
    made = await rpc.result("CreateTaskPushNotificationConfig", **names, url=WEBHOOK)
    assert made["id"] == webhook_id
    path = f"/tasks/{task['id']}/pushNotificationConfigs/{quote(webhook_id, safe='')}"
    assert json_of(await rest.get(path)) == made
    assert await rpc.result("GetTaskPushNotificationConfig", **names) == made
    assert (await rest.ask("DELETE", path)).status_code == 200
    assert refusal_of(await rest.get(path))[0] == 404


def spellings(task_id: str) -> list[str]:
    key = UUID(task_id)
    return [
        key.hex, key.urn, f"{{{key}}}", str(key).upper(), f" {key}", f"{key}\n",
        str(key).replace("-", "", 1),
    ]  # fmt: skip  # a few on a line


@pytest.mark.slow
async def test_only_the_id_as_it_was_given_names_a_task(
    rpc: JsonRpcClient, rest: HttpJsonClient
) -> None:
    task = await rpc.task(end="input-required")
    for spelling in spellings(task["id"]):
        for method, params in calls_about(spelling):
            answer: Any = await rpc.call(method, params)
            assert error_of(answer) == (-32001, "TASK_NOT_FOUND"), (method, spelling)
        response = await rest.get(f"/tasks/{quote(spelling)}")
        assert refusal_of(response) == (404, "TASK_NOT_FOUND")
    assert (await rpc.result("GetTask", id=task["id"]))["id"] == task["id"]
