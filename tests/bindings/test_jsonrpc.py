"""JSON-RPC (section 9): envelopes, versions, errors and extensions."""

import asyncio
import base64
import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from a2a_app.agents import Agent, Message, registry
from a2a_app.agents.registry import make_agent
from a2a_app.operations import OPERATIONS
from tests.clients.json_rpc import JsonRpcClient, bad_fields, body_of, error_of, events_of
from tests.conftest import ChangeSettings
from tests.wire import UNKNOWN_TASK, envelope, load_message, message

PARSE = (-32700, "JSON_PARSE")
INVALID = (-32600, "INVALID_REQUEST")
UNKNOWN_METHOD = (-32601, "METHOD_NOT_FOUND")
NOT_FOUND = (-32001, "TASK_NOT_FOUND")
INTERNAL = (-32603, "INTERNAL")

GET = envelope("GetTask", {"id": UNKNOWN_TASK})


# The envelope.


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"not json", b'{"id": 1,}', b"\xff\xfd", b'{"id": NaN}',
        b'"\\ud800"', b"[" * 100_000, b'{"a":' * 50_000,
    ],
)  # fmt: skip  # short bodies, a few on a line
async def test_a_body_that_is_no_json_is_a_parse_error_without_an_id(
    rpc: JsonRpcClient, body: bytes
) -> None:
    answer = await rpc.answer(body)
    assert error_of(answer) == PARSE
    assert answer["id"] is None


@pytest.mark.parametrize("body", [None, 1, "text", True, [], [GET], [GET, GET]])
async def test_a_body_that_is_no_object_is_refused(rpc: JsonRpcClient, body: object) -> None:
    answer = await rpc.answer(body)
    assert error_of(answer) == INVALID
    assert answer["id"] is None


@pytest.mark.parametrize("version", [None, "1.0", "2", 2.0, 2, ["2.0"], {}])
async def test_another_jsonrpc_is_refused_with_the_id(rpc: JsonRpcClient, version: object) -> None:
    answer = await rpc.answer({**GET, "jsonrpc": version})
    assert error_of(answer) == INVALID
    assert answer["id"] == "test"


async def test_a_request_without_jsonrpc_is_refused(rpc: JsonRpcClient) -> None:
    answer = await rpc.answer({key: GET[key] for key in GET if key != "jsonrpc"})
    assert error_of(answer) == INVALID


@pytest.mark.parametrize("bad", [True, False, [], ["1"], {}, {"a": 1}])
async def test_an_id_that_is_no_string_number_or_null_is_refused(
    rpc: JsonRpcClient, bad: object
) -> None:
    answer = await rpc.answer({**GET, "id": bad})
    assert error_of(answer) == INVALID
    assert answer["id"] is None


@pytest.mark.parametrize(
    "given",
    [
        '"a"', '""', '"0"', "0", "-7", "1.5", "-0.25", "1e3", str(2**53 + 1), str(2**80), "null",
        '"späße ✓ 🚀 \\u0000 \\" \\\\ </script>"', json.dumps("x" * 5000),
    ],
)  # fmt: skip  # short ids, a few on a line
async def test_the_id_comes_back_as_it_was(rpc: JsonRpcClient, given: str) -> None:
    sent = json.loads(given)
    for method in ("GetTask", "ListTasks", "NoSuchMethod"):
        body = f'{{"jsonrpc":"2.0","id":{given},"method":"{method}","params":{{}}}}'
        answer = await rpc.answer(body.encode())
        assert answer["id"] == sent
        assert isinstance(answer["id"], str) == isinstance(sent, str)


@pytest.mark.parametrize("digits", [5000, 100_000])
async def test_an_id_of_thousands_of_digits_is_no_internal_error(
    rpc: JsonRpcClient, digits: int
) -> None:
    body = json.dumps(GET).replace('"test"', "1" * digits)
    answer = await rpc.answer(body.encode())
    assert error_of(answer) in (PARSE, INVALID, NOT_FOUND)


@pytest.mark.parametrize("given", ["1e999", "-1e999"])
async def test_an_id_that_no_double_holds_is_refused(rpc: JsonRpcClient, given: str) -> None:
    answer = await rpc.answer(json.dumps(GET).replace('"test"', given).encode())
    assert error_of(answer) == INVALID
    assert answer["id"] is None


async def test_every_event_of_a_stream_carries_the_id(rpc: JsonRpcClient) -> None:
    request = {**envelope("SendStreamingMessage", {"message": load_message()}), "id": "späße"}
    events = await events_of(await rpc.post(request))
    assert len(events) > 2
    assert {event["id"] for event in events} == {"späße"}
    assert {event["jsonrpc"] for event in events} == {"2.0"}


async def test_a_request_without_a_method_is_refused(rpc: JsonRpcClient) -> None:
    answer = await rpc.answer({key: GET[key] for key in GET if key != "method"})
    assert error_of(answer) == INVALID


@pytest.mark.parametrize("method", [None, "", 1, [], {}])
async def test_a_method_that_is_no_name_is_refused(rpc: JsonRpcClient, method: object) -> None:
    assert error_of(await rpc.answer({**GET, "method": method})) == INVALID


@pytest.mark.parametrize("method", ["gettask", "GetTask ", "rpc.discover", "x" * 9000, "\x00"])
async def test_a_method_that_does_not_exist_is_said_to_be_unknown(
    rpc: JsonRpcClient, method: str
) -> None:
    answer = await rpc.answer({**GET, "method": method})
    assert error_of(answer) == UNKNOWN_METHOD
    assert len(answer["error"]["message"]) < 200


@pytest.mark.parametrize("method", OPERATIONS)
async def test_params_that_are_no_object_are_refused(rpc: JsonRpcClient, method: str) -> None:
    for params in ([], [1], "text", 1, True, False):
        assert bad_fields(await rpc.call(method, params)) == ["params"]


async def test_params_may_be_left_out_where_nothing_is_required(rpc: JsonRpcClient) -> None:
    request = {"jsonrpc": "2.0", "id": 1, "method": "ListTasks"}
    assert (await rpc.answer(request))["result"]["tasks"] == []
    assert (await rpc.answer({**request, "params": None}))["result"]["tasks"] == []


# Parameters.


def token(moment: str) -> str:
    return base64.urlsafe_b64encode(f"{moment} {UNKNOWN_TASK}".encode()).decode()


@pytest.mark.parametrize(
    ("method", "params", "fields"),
    [
        ("GetTask", {}, ["id"]),
        ("GetTask", {"id": ""}, ["id"]),
        ("GetTask", {"id": 5, "historyLength": -1}, ["id", "historyLength"]),
        ("CancelTask", {"metadata": []}, ["id", "metadata"]),
        ("SubscribeToTask", {"id": None}, ["id"]),
        ("SendMessage", {}, ["message"]),
        ("SendMessage", {"message": "hello"}, ["message"]),
        ("SendMessage", {"message": {}}, ["message.messageId", "message.role", "message.parts"]),
        ("SendStreamingMessage", {"message": message(parts=[])}, ["message.parts"]),
        (
            "SendMessage",
            {"message": message(parts=[{"text": 1}, {"text": "a"}, {"raw": "*"}])},
            ["message.parts[0].text", "message.parts[2].raw"],
        ),
        ("SendMessage", {"message": message(parts=[{}])}, ["message.parts[0]"]),
        ("SendMessage", {"message": message(role="USER")}, ["message.role"]),
        ("SendMessage", {"message": message(role="ROLE_AGENT")}, ["message.role"]),
        ("SendMessage", {"message": message(messageId="x" * 256)}, ["message.messageId"]),
        ("SendMessage", {"message": message(contextId="x" * 256)}, ["message.contextId"]),
        ("SendMessage", {"message": message("\x00")}, ["message.parts[0].text"]),
        ("SendMessage", {"message": message(metadata={"a\x00": 1})}, ["message.metadata"]),
        (
            "SendMessage",
            {"message": message(), "configuration": {"historyLength": "x"}},
            ["configuration.historyLength"],
        ),
        (
            "SendMessage",
            {"message": message(), "configuration": {"returnImmediately": 1}},
            ["configuration.returnImmediately"],
        ),
        ("ListTasks", {"pageSize": 101}, ["pageSize"]),
        ("ListTasks", {"pageSize": 0}, ["pageSize"]),
        ("ListTasks", {"status": "DONE"}, ["status"]),
        ("ListTasks", {"statusTimestampAfter": "yesterday"}, ["statusTimestampAfter"]),
        ("ListTasks", {"pageToken": "?"}, ["pageToken"]),
        ("ListTasks", {"pageToken": token("0001-01-01T00:00:00+23:59")}, ["pageToken"]),
        ("ListTasks", {"pageToken": token("9999-12-31T23:59:59-23:59")}, ["pageToken"]),
    ],
)
async def test_every_bad_field_is_named(
    rpc: JsonRpcClient, method: str, params: dict[str, Any], fields: list[str]
) -> None:
    assert bad_fields(await rpc.call(method, params)) == fields


@pytest.mark.parametrize("element", [1, {}, {"text": 1}, {"text": "a"}])
async def test_as_many_elements_as_a_body_may_have_are_refused_at_once(
    rpc: JsonRpcClient, element: object
) -> None:
    said = message(parts=[element] * 40_000)
    assert bad_fields(await rpc.call("SendMessage", {"message": said})) == ["message.parts"]
    said = message(extensions=[element] * 40_000)
    assert bad_fields(await rpc.call("SendMessage", {"message": said})) == ["message.extensions"]


async def test_of_thousands_of_bad_fields_the_first_are_named(rpc: JsonRpcClient) -> None:
    said = message(parts=[{"text": 1}] * 1_000)
    named = bad_fields(await rpc.call("SendMessage", {"message": said}))
    assert named == [f"message.parts[{index}].text" for index in range(100)]


async def test_a_last_event_id_that_is_none_is_named(rpc: JsonRpcClient) -> None:
    task = await rpc.task(end="input-required")
    for bad in ("x", "-1", "1.5", "9" * 18, "9" * 30):
        answer = await rpc.call("SubscribeToTask", {"id": task["id"]}, Last_Event_ID=bad)
        assert bad_fields(answer) == ["Last-Event-ID"]


@pytest.mark.parametrize("method", ["GetTask", "CancelTask", "SubscribeToTask"])
@pytest.mark.parametrize("task_id", [UNKNOWN_TASK, "x", "x" * 9000, "../../etc", "٣" * 32])
async def test_a_task_that_does_not_exist_is_not_found(
    rpc: JsonRpcClient, method: str, task_id: str
) -> None:
    answer = await rpc.call(method, {"id": task_id})
    assert error_of(answer) == NOT_FOUND
    assert answer["error"]["data"][0]["metadata"] == {"taskId": task_id[:100]}


# Errors and URLs.


async def test_errors_are_answers_with_status_200_and_details(rpc: JsonRpcClient) -> None:
    response = await rpc.post(GET)
    assert response.status_code == 200
    error = body_of(response)["error"]
    assert error["code"] == -32001
    assert error["data"] == [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "TASK_NOT_FOUND",
            "domain": "a2a-protocol.org",
            "metadata": {"taskId": UNKNOWN_TASK},
        }
    ]


@pytest.mark.parametrize("path", ["/a2a/load/", "/a2a/load"])
async def test_the_endpoint_is_there_with_and_without_the_last_slash(
    rpc: JsonRpcClient, path: str
) -> None:
    response = await rpc.post(envelope("SendMessage", {"message": load_message()}), path=path)
    task = body_of(response)["result"]["task"]
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"


@pytest.mark.parametrize("path", ["/a2a/load/", "/a2a/load"])
async def test_a_get_on_the_endpoint_is_not_allowed(rpc: JsonRpcClient, path: str) -> None:
    response = await rpc.http.get(path)
    assert response.status_code == 405
    assert response["Allow"] == "OPTIONS, POST"


@pytest.mark.parametrize("path", ["/a2a/nobody/", "/a2a/nobody", "/a2a/%00/", "/a2a/Load/"])
async def test_an_agent_that_does_not_exist_is_not_found(rpc: JsonRpcClient, path: str) -> None:
    response = await rpc.post(GET, path=path)
    assert response.status_code == 404
    assert (
        await rpc.http.get(f"{path.rstrip('/')}/.well-known/agent-card.json")
    ).status_code == 404


async def secretive(request: object) -> object:
    raise RuntimeError("the password is hunter2")


RAISED: list[BaseException] = []


def fails_in_thread(request: object) -> object:
    raise RAISED[0]


async def fails_in_loop(request: object) -> object:
    raise RAISED[0]


async def fails_in_task(request: object) -> object:
    return await asyncio.gather(fails_in_loop(request))


def fails_in_bridge(request: object) -> object:
    return async_to_sync(fails_in_loop)(request)


@pytest.mark.parametrize(
    "authenticator", ["fails_in_thread", "fails_in_loop", "fails_in_task", "fails_in_bridge"]
)
@pytest.mark.parametrize(
    "error",
    [StopIteration(), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()],
    ids=repr,
)
async def test_an_authenticator_may_raise_anything_and_the_request_is_answered(
    a2a: ChangeSettings,
    rpc: JsonRpcClient,
    caplog: pytest.LogCaptureFixture,
    authenticator: str,
    error: BaseException,
) -> None:
    RAISED[:] = [error]
    a2a(AUTHENTICATION=[f"{__name__}.{authenticator}"])
    async with asyncio.timeout(10):
        answer = await rpc.call("GetTask", {"id": UNKNOWN_TASK})
    assert error_of(answer) == INTERNAL
    assert type(error).__name__ in caplog.text


@pytest.mark.parametrize("method", ["GetTask", "SendMessage", "SendStreamingMessage"])
async def test_an_internal_error_says_nothing_of_what_is_inside(
    a2a: ChangeSettings, rpc: JsonRpcClient, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    a2a(AUTHENTICATION=[f"{__name__}.secretive"])
    response = await rpc.post(envelope(method, {"id": UNKNOWN_TASK, "message": message()}))
    answer = body_of(response)
    assert error_of(answer) == INTERNAL
    assert "hunter2" not in json.dumps(answer)
    assert "RuntimeError" not in json.dumps(answer)
    reference = answer["error"]["message"].rpartition(" ")[2]
    assert reference in caplog.text and "hunter2" in caplog.text


async def test_an_agent_that_fails_to_answer_says_nothing_of_what_is_inside(
    rpc: JsonRpcClient, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Agent):
        async def answer(self, message: Message) -> str:
            raise RuntimeError("the password is hunter2")

    with registry.registered(make_agent(Failing, slug="failing")):
        for method in ("SendMessage", "SendStreamingMessage"):
            answer = await rpc.call(method, {"message": message()}, agent="failing")
            assert error_of(answer) == INTERNAL
            assert "hunter2" not in json.dumps(answer)
    assert "hunter2" in caplog.text
