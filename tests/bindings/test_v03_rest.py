"""Version 0.3 over HTTP+JSON: the routes below /v1, which speak as its proto does."""

from typing import Any

import pytest
from django.http.response import HttpResponseBase

from tests.clients.http_json import json_of, without_version
from tests.clients.json_rpc import JsonRpcClient, bad_fields, events_of
from tests.wire import UNKNOWN_TASK, envelope, strict_json
from tests.wire_v03 import message, plain_message


async def test_the_routes_of_0_3_speak_as_its_proto_does(rpc: JsonRpcClient) -> None:
    sent = await without_version().result("POST", "/v1/message:send", {"message": plain_message()})
    task = sent["task"]
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"
    assert "kind" not in task
    assert task["history"][0]["content"] == [{"text": "{}"}]
    response = await without_version().get(f"/v1/tasks/{task['id']}")
    assert response["Content-Type"] == "application/json"
    assert json_of(response) == task
    refusal = await without_version().post(
        f"/v1/tasks/{task['id']}:cancel", {"name": f"tasks/{task['id']}"}
    )
    assert (refusal.status_code, json_of(refusal)["code"]) == (400, -32002)


async def test_tasks_are_listed_as_an_array_the_newest_first(rpc: JsonRpcClient) -> None:
    sent = [
        (await without_version().result("POST", "/v1/message:send", {"message": plain_message()}))[
            "task"
        ]
        for _ in range(3)
    ]
    response = await without_version().get("/v1/tasks?includeArtifacts=true")
    assert response["Content-Type"] == "application/json"
    assert json_list(response) == sent[::-1]
    assert (
        json_list(await without_version().get("/v1/tasks?pageSize=1&includeArtifacts=true"))
        == sent[-1:]
    )
    context_id = sent[0]["contextId"]
    [brief] = json_list(await without_version().get(f"/v1/tasks?contextId={context_id}"))
    assert brief == {key: value for key, value in sent[0].items() if key != "artifacts"}
    assert json_list(await without_version().get("/v1/tasks?status=TASK_STATE_FAILED")) == []
    bad = json_of(await without_version().get("/v1/tasks?pageSize=0"))
    assert bad["data"][0]["fieldViolations"][0]["field"] == "pageSize"


def json_list(response: HttpResponseBase) -> list[dict[str, Any]]:
    assert response.status_code == 200
    found = strict_json(response.content)  # type: ignore[attr-defined]  # no stream, by its type
    assert isinstance(found, list)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["GET", "POST"])
async def test_a_plain_stream_names_each_event_by_its_member(rpc: JsonRpcClient, verb: str) -> None:
    said = {"message": plain_message('{"end": "input-required", "delay": 0.2}')}
    events = await events_of(await without_version().post("/v1/message:stream", said))
    assert all(len(event) == 1 for event in events)
    assert events[-1]["statusUpdate"]["final"] is True
    task_id = events[0]["task"]["id"]
    response = await without_version().ask(verb, f"/v1/tasks/{task_id}:subscribe")
    canceled = await without_version().result("POST", f"/v1/tasks/{task_id}:cancel")
    assert canceled["status"]["state"] == "TASK_STATE_CANCELLED"
    [first, last] = await events_of(response)
    assert first["task"]["id"] == task_id
    assert last["statusUpdate"]["status"]["state"] == "TASK_STATE_CANCELLED"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "at_once"),
    [
        ({}, False),
        ({"configuration": {"blocking": True}}, False),
        ({"configuration": {"blocking": False}}, True),
        ({"configuration": {}}, True),
    ],
)
async def test_a_plain_configuration_without_blocking_does_not_block(
    rpc: JsonRpcClient, body: dict[str, Any], at_once: bool
) -> None:
    said = plain_message('{"delay": 0.2, "chunks": 3}')
    sent = await without_version().result("POST", "/v1/message:send", {"message": said, **body})
    assert (sent["task"]["status"]["state"] != "TASK_STATE_COMPLETED") == at_once


@pytest.mark.parametrize(
    "said",
    [
        {"message": plain_message()},
        {"message": message()},
        {"message": message(parts=[{"text": "{}"}])},
        {"request": {"message_id": "1", "role": "ROLE_USER", "content": [{"text": "{}"}]}},
    ],
)
async def test_a_plain_body_may_be_spelt_as_the_schema_and_the_proto_spell_it(
    rpc: JsonRpcClient, said: dict[str, Any]
) -> None:
    sent = await without_version().result("POST", "/v1/message:send", said)
    assert sent["task"]["status"]["state"] == "TASK_STATE_COMPLETED"


async def test_a_plain_error_is_that_of_json_rpc_with_an_http_status(rpc: JsonRpcClient) -> None:
    response = await without_version().get(f"/v1/tasks/{UNKNOWN_TASK}")
    assert response.status_code == 404
    error = json_of(response)
    assert error["code"] == -32001
    assert error["data"][0]["reason"] == "TASK_NOT_FOUND"
    said = plain_message(content=[{"file": {"fileWithBytes": "*"}}])
    bad = json_of(await without_version().post("/v1/message:send", {"message": said}))
    [violation] = bad["data"][0]["fieldViolations"]
    assert violation["field"] == "message.content[0].file.fileWithBytes"


async def test_the_routes_of_push_and_of_the_card_lead_to_their_operations(
    rpc: JsonRpcClient,
) -> None:
    path = f"/v1/tasks/{UNKNOWN_TASK}/pushNotificationConfigs"
    config = {"pushNotificationConfig": {"url": "https://192.0.43.10/hook"}}
    for response in (
        await without_version().post(path, config),
        await without_version().get(path),
        await without_version().get(f"{path}/1"),
        await without_version().ask("DELETE", f"{path}/1"),
    ):
        assert (response.status_code, json_of(response)["code"]) == (404, -32001)
    card = await without_version().get("/v1/card")
    assert (card.status_code, json_of(card)["code"]) == (400, -32007)


@pytest.mark.parametrize(
    "empty", [{}, {"schemes": []}, {"credentials": ""}, {"schemes": [], "credentials": ""}]
)
async def test_an_authentication_of_a_webhook_without_a_member_is_none_as_in_the_proto(
    rpc: JsonRpcClient, empty: dict[str, Any]
) -> None:
    config = {"id": "1", "url": "https://192.0.43.10/hook", "authentication": empty}
    said = {"message": plain_message(), "configuration": {"pushNotification": config}}
    sent = await without_version().result("POST", "/v1/message:send", said)
    path = f"/v1/tasks/{sent['task']['id']}/pushNotificationConfigs"
    made = await without_version().result("POST", path, {"pushNotificationConfig": config})
    assert made["pushNotificationConfig"] == {"id": "1", "url": config["url"]}
    assert await without_version().result("GET", f"{path}/1") == made


@pytest.mark.parametrize("bad", [{"credentials": "c"}, {"schemes": 0}, {"schemes": [1]}, []])
async def test_an_authentication_of_a_webhook_that_has_members_is_checked(
    rpc: JsonRpcClient, bad: Any
) -> None:
    config = {"url": "https://192.0.43.10/hook", "authentication": bad}
    said = {"message": plain_message(), "configuration": {"pushNotification": config}}
    answer = json_of(await without_version().post("/v1/message:send", said))
    [violation] = answer["data"][0]["fieldViolations"]
    assert violation["field"].startswith("configuration.pushNotification.authentication")
    path = f"/v1/tasks/{UNKNOWN_TASK}/pushNotificationConfigs"
    answer = json_of(await without_version().post(path, {"pushNotificationConfig": config}))
    [violation] = answer["data"][0]["fieldViolations"]
    assert violation["field"].startswith("pushNotificationConfig.authentication")


async def test_json_rpc_has_the_schemes_of_a_webhook_required(rpc: JsonRpcClient) -> None:
    config = {"url": "https://192.0.43.10/hook", "authentication": {}}
    params = {"taskId": UNKNOWN_TASK, "pushNotificationConfig": config}
    request = envelope("tasks/pushNotificationConfig/set", params)
    assert bad_fields(await rpc.answer(request)) == [
        "pushNotificationConfig.authentication.schemes"
    ]
