"""Version 0.3 (its sections 6 to 8) over JSON-RPC: what goes in, and what comes out."""

from typing import Any

import pytest

from a2a_app.agents import Agent, AgentExtension, Message, Part, Turn, registry
from a2a_app.agents.registry import make_agent
from tests.clients.http_json import json_of, without_version
from tests.clients.json_rpc import JsonRpcClient, bad_fields, body_of, error_of, events_of
from tests.wire import UNKNOWN_TASK, envelope
from tests.wire import message as message_10
from tests.wire_v03 import FILES, PLAIN_FILES, message, plain_message

NO_VERSION = {"A2A_Version": ""}


async def result(rpc: JsonRpcClient, method: str, agent: str = "load", **params: Any) -> Any:
    answer = await rpc.call(method, params, agent=agent, **NO_VERSION)
    assert "result" in answer, answer
    return answer["result"]


async def refused(rpc: JsonRpcClient, method: str, **params: Any) -> dict[str, Any]:
    answer = await rpc.call(method, params, **NO_VERSION)
    assert "error" in answer, answer
    return answer


async def streamed(rpc: JsonRpcClient, method: str, **params: Any) -> list[dict[str, Any]]:
    return await events_of(await rpc.post(envelope(method, params)))


async def test_a_message_is_sent_and_its_task_read_in_the_words_of_0_3(rpc: JsonRpcClient) -> None:
    task = await result(rpc, "message/send", message=message())
    assert (task["kind"], task["status"]["state"]) == ("task", "completed")
    [said] = task["history"]
    assert (said["kind"], said["role"]) == ("message", "user")
    assert said["parts"] == [{"kind": "text", "text": "{}"}]
    [artifact] = task["artifacts"]
    assert [part["kind"] for part in artifact["parts"]] == ["text"]
    assert await result(rpc, "tasks/get", id=task["id"]) == task
    assert "history" not in await result(rpc, "tasks/get", id=task["id"], historyLength=0)


@pytest.mark.slow
async def test_a_stream_has_kinds_and_is_final_at_its_end(rpc: JsonRpcClient) -> None:
    said = message('{"chunks": 2, "delay": 0.2}')
    events = await streamed(rpc, "message/stream", message=said)
    assert {event["id"] for event in events} == {"test"}
    first, *updates, last = [event["result"] for event in events]
    assert first["kind"] == "task"
    assert {each["kind"] for each in updates} <= {"status-update", "artifact-update"}
    assert not any(each.get("final") for each in updates)
    assert (last["kind"], last["final"]) == ("status-update", True)
    assert last["status"]["state"] == "completed"


@pytest.mark.slow
@pytest.mark.parametrize("end", ["input-required", "auth-required"])
async def test_a_stream_is_final_where_the_task_waits_for_its_client(
    rpc: JsonRpcClient, end: str
) -> None:
    said = message(f'{{"end": "{end}", "delay": 0.2}}')
    events = await streamed(rpc, "message/stream", message=said)
    last = events[-1]["result"]
    assert (last["status"]["state"], last["final"]) == (end, True)


async def test_the_events_of_a_stream_keep_their_ids(rpc: JsonRpcClient) -> None:
    response = await rpc.post(envelope("message/stream", {"message": message()}))
    text = b"".join([chunk async for chunk in response]).decode()  # type: ignore[attr-defined]  # a stream
    ids = [int(line[3:]) for line in text.splitlines() if line.startswith("id:")]
    assert ids == list(range(1, len(ids) + 1))


async def test_a_task_is_resubscribed_to_and_canceled(rpc: JsonRpcClient) -> None:
    task = await result(rpc, "message/send", message=message('{"end": "input-required"}'))
    response = await rpc.post(envelope("tasks/resubscribe", {"id": task["id"]}))
    canceled = await result(rpc, "tasks/cancel", id=task["id"])
    assert canceled["status"]["state"] == "canceled"
    first, last = [event["result"] for event in await events_of(response)]
    assert (first["kind"], first["id"]) == ("task", task["id"])
    assert (last["status"]["state"], last["final"]) == ("canceled", True)


async def test_a_canceled_task_cannot_be_canceled_again_in_0_3(rpc: JsonRpcClient) -> None:
    task = await rpc.task(end="input-required")
    path = f"/v1/tasks/{task['id']}:cancel"
    await result(rpc, "tasks/cancel", id=task["id"])
    answer = await refused(rpc, "tasks/cancel", id=task["id"])
    assert error_of(answer) == (-32002, "TASK_NOT_CANCELABLE")
    response = await without_version().post(path)
    assert (response.status_code, json_of(response)["code"]) == (400, -32002)
    # 1.0 has the second cancel change nothing (its section 3.3.1).
    again = await rpc.result("CancelTask", id=task["id"])
    assert again["status"]["state"] == "TASK_STATE_CANCELED"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("configuration", "state"),
    [(None, "completed"), ({}, "completed"), ({"blocking": True}, "completed")],
)
async def test_a_send_waits_unless_it_is_told_not_to(
    rpc: JsonRpcClient, configuration: Any, state: str
) -> None:
    params = {} if configuration is None else {"configuration": configuration}
    task = await result(rpc, "message/send", message=message('{"delay": 0.1}'), **params)
    assert task["status"]["state"] == state


async def test_a_send_that_does_not_block_gives_a_task_in_progress(rpc: JsonRpcClient) -> None:
    said, configuration = message('{"end": "hang"}'), {"blocking": False}
    task = await result(rpc, "message/send", message=said, configuration=configuration)
    assert task["status"]["state"] in ("submitted", "working")
    await result(rpc, "tasks/cancel", id=task["id"])


class Answers(Agent):
    async def answer(self, message: Message) -> str:
        return message.text


async def test_an_answer_without_a_task_is_a_message(rpc: JsonRpcClient) -> None:
    with registry.registered(make_agent(Answers, slug="answers")):
        said = await result(rpc, "message/send", agent="answers", message=message("hello"))
        assert (said["kind"], said["role"]) == ("message", "agent")
        sent = await without_version("answers").result(
            "POST", "/v1/message:send", {"message": plain_message("hi")}
        )
        assert sent["message"]["content"] == [{"text": "hi"}]


async def test_parts_of_all_kinds_come_back_as_they_went_in(rpc: JsonRpcClient) -> None:
    said = message(parts=FILES, metadata={"m": 1}, extensions=["https://example.com/x"])
    task = await result(rpc, "message/send", agent="mirror", message=said)
    [stored] = task["history"]
    assert stored == {**said, "contextId": task["contextId"], "taskId": task["id"]}
    task = await without_version("mirror").result("GET", f"/v1/tasks/{task['id']}")
    assert task["history"][0]["content"] == PLAIN_FILES


async def gives_all_data(turn: Turn) -> None:
    await turn.artifact(Part(data=[1, 2]), Part(data=None), name="data")


async def test_data_that_is_no_object_becomes_one(rpc: JsonRpcClient) -> None:
    with registry.registered(make_agent(gives_all_data, slug="data")):
        task = await result(rpc, "message/send", agent="data", message=message())
    data = [part["data"] for part in task["artifacts"][0]["parts"]]
    assert data == [{"value": [1, 2]}, {"value": None}]


async def test_both_versions_see_the_same_task(rpc: JsonRpcClient) -> None:
    old = await result(rpc, "message/send", message=message('{"end": "input-required"}'))
    said = message_10('{"end": "completed"}', taskId=old["id"])
    new = (await rpc.result("SendMessage", message=said))["task"]
    assert (new["id"], new["status"]["state"]) == (old["id"], "TASK_STATE_COMPLETED")
    task = await result(rpc, "tasks/get", id=old["id"])
    assert task["status"]["state"] == "completed"
    assert [each["role"] for each in task["history"]] == ["user", "agent", "user"]


async def test_a_message_may_leave_out_its_kind_as_the_examples_of_0_3_do(
    rpc: JsonRpcClient,
) -> None:
    said = message()
    del said["kind"]
    task = await result(rpc, "message/send", message=said)
    assert task["status"]["state"] == "completed"
    # FastA2A's client sends messages of 1.0 with the methods of 0.3.
    said["parts"] = [{"text": "{}"}]
    task = await result(rpc, "message/send", message=said)
    assert task["history"][0]["parts"] == [{"kind": "text", "text": "{}"}]


PART = "message.parts[0]"


def sent_part(**part: Any) -> tuple[str, dict[str, Any]]:
    """Return a call that sends one part: its method and its parameters."""
    return "message/send", {"message": message(parts=[part])}


@pytest.mark.parametrize(
    ("method", "params", "fields"),
    [
        ("tasks/get", {}, ["id"]),
        ("tasks/get", {"id": UNKNOWN_TASK, "historyLength": "x"}, ["historyLength"]),
        ("message/send", {}, ["message"]),
        ("message/send", {"message": "hello"}, ["message"]),
        ("message/send", {"message": {}}, ["message.messageId", "message.role", "message.parts"]),
        ("message/send", {"message": message(role="USER")}, ["message.role"]),
        ("message/send", {"message": message(role="agent")}, ["message.role"]),
        ("message/send", {"message": message(role=["user"])}, ["message.role"]),
        ("message/send", {"message": message(parts=[])}, ["message.parts"]),
        ("message/send", {"message": message(parts="x")}, ["message.parts"]),
        ("message/send", {"message": message(parts=["x"])}, [PART]),
        ("message/send", {"message": message(parts=[{}])}, [PART]),
        ("message/send", {"message": message(parts=[{"kind": "text"}])}, [PART]),
        ("message/send", {"message": message(parts=[{"text": "a", "data": {}}])}, [PART]),
        ("message/send", {"message": message(parts=[{"text": "a"}])}, [f"{PART}.kind"]),
        ("message/send", {"message": message(kind="task")}, ["message.kind"]),
        ("message/send", {"message": message(kind=1)}, ["message.kind"]),
        (*sent_part(kind=None, text="a"), [f"{PART}.kind"]),
        (
            "message/send",
            {"message": message(kind=None, parts=[{"kind": "text", "text": "a"}, {"text": "b"}])},
            ["message.parts[1].kind"],
        ),
        (*sent_part(kind="nonsense", text="a"), [f"{PART}.kind"]),
        (*sent_part(kind="Text", text="a"), [f"{PART}.kind"]),
        (*sent_part(kind=["text"], text="a"), [f"{PART}.kind"]),
        (*sent_part(kind="data", text="a"), [f"{PART}.kind"]),
        (*sent_part(kind="text", file={"bytes": "aGVsbG8="}), [f"{PART}.kind"]),
        (*sent_part(kind="text", text=1), [f"{PART}.text"]),
        (*sent_part(kind="data", data=[1]), [f"{PART}.data"]),
        (*sent_part(kind="file", file="x"), [f"{PART}.file"]),
        (*sent_part(kind="file", file={}), [f"{PART}.file"]),
        (*sent_part(kind="file", file={"bytes": "*"}), [f"{PART}.file.bytes"]),
        (
            *sent_part(kind="file", file={"uri": 1, "name": 2, "mimeType": 3}),
            [f"{PART}.file.uri", f"{PART}.file.name", f"{PART}.file.mimeType"],
        ),
        (
            "message/send",
            {"message": message(), "configuration": {"blocking": "no"}},
            ["configuration.blocking"],
        ),
        (
            "message/send",
            {"message": message(), "configuration": {"historyLength": -1}},
            ["configuration.historyLength"],
        ),
        (
            "message/send",
            {"message": message(), "configuration": {"pushNotificationConfig": {"url": 1}}},
            ["configuration.pushNotificationConfig.url"],
        ),
        ("message/send", {"message": message(), "configuration": []}, ["configuration"]),
        ("message/send", {"message": message(), "metadata": []}, ["metadata"]),
    ],
)
async def test_every_bad_field_has_the_name_it_has_in_0_3(
    rpc: JsonRpcClient, method: str, params: dict[str, Any], fields: list[str]
) -> None:
    named = bad_fields(await refused(rpc, method, **params))
    assert sorted(named) == sorted(fields)


async def test_a_bad_role_is_told_the_roles_of_0_3(rpc: JsonRpcClient) -> None:
    answer = await refused(rpc, "message/send", message=message(role="USER"))
    assert answer["error"]["message"].endswith("message.role must be one of user, agent")


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("tasks/get", (-32001, "TASK_NOT_FOUND")),
        ("tasks/cancel", (-32001, "TASK_NOT_FOUND")),
        ("tasks/resubscribe", (-32001, "TASK_NOT_FOUND")),
        ("tasks/pushNotificationConfig/get", (-32001, "TASK_NOT_FOUND")),
        ("tasks/pushNotificationConfig/list", (-32001, "TASK_NOT_FOUND")),
        ("tasks/pushNotificationConfig/delete", (-32001, "TASK_NOT_FOUND")),
        (
            "agent/getAuthenticatedExtendedCard",
            (-32007, "EXTENDED_AGENT_CARD_NOT_CONFIGURED"),
        ),
    ],
)
async def test_a_refusal_has_the_code_of_0_3(
    rpc: JsonRpcClient, method: str, error: tuple[int, str]
) -> None:
    assert error_of(await refused(rpc, method, id=UNKNOWN_TASK)) == error


async def test_a_webhook_without_an_id_is_the_one_that_a_task_has(rpc: JsonRpcClient) -> None:
    task = await rpc.task(end="input-required")
    config = {"url": "https://192.0.43.10/hook", "token": "t"}
    given = {"taskId": task["id"], "pushNotificationConfig": config}
    made = await result(rpc, "tasks/pushNotificationConfig/set", **given)
    assert made["pushNotificationConfig"] == {"id": task["id"], "url": config["url"]}
    assert await result(rpc, "tasks/pushNotificationConfig/get", id=task["id"]) == made
    assert await result(rpc, "tasks/pushNotificationConfig/list", id=task["id"]) == [made]


async def says_its_extensions(turn: Turn) -> None:
    await turn.complete(" ".join(turn.extensions))


async def test_extensions_are_named_in_the_header_of_0_3(rpc: JsonRpcClient) -> None:
    uri = "https://example.com/ext"
    declared = {"slug": "extended", "extensions": [AgentExtension(uri=uri, required=True)]}
    with registry.registered(make_agent(says_its_extensions, **declared)):
        request = envelope("message/send", {"message": message()})
        response = await rpc.post(request, path="/a2a/extended/", X_A2A_Extensions=uri)
    assert response["X-A2A-Extensions"] == uri
    assert body_of(response)["result"]["status"]["message"]["parts"][0]["text"] == uri
