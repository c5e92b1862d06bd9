"""Versions (section 3.6): which are served, and how a client names one, over both bindings."""

import pytest

from a2a_app.bindings.v03 import RPC_METHODS
from a2a_app.operations import OPERATIONS
from tests.clients.http_json import HttpJsonClient, json_of, refusal_of
from tests.clients.json_rpc import JsonRpcClient, bad_fields, error_of
from tests.conftest import ChangeSettings
from tests.wire import UNKNOWN_TASK, envelope, message

VERSION = (-32009, "VERSION_NOT_SUPPORTED")
PLAIN_VERSION = (400, "VERSION_NOT_SUPPORTED")
NOT_FOUND = (-32001, "TASK_NOT_FOUND")
UNKNOWN_METHOD = (-32601, "METHOD_NOT_FOUND")

NOT_SERVED = ["0.2", "0.3.0.0", "1", "1.1", "2.0", "1.0.0.0", "latest", "1.0,0.3"]
OURS = ["1.0", "1.0.3", "1.0.0", " 1.0 ", ""]
OLD = ["0.3", "0.3.0", "0.3.26", " 0.3 ", ""]


@pytest.mark.parametrize("version", NOT_SERVED)
async def test_a_version_that_is_not_served_is_refused_whatever_the_method(
    rpc: JsonRpcClient, version: str
) -> None:
    for method in (*OPERATIONS, *RPC_METHODS, "NoSuchMethod", "no/such/method"):
        request = envelope(method, {"id": UNKNOWN_TASK, "message": message()})
        by_header = await rpc.answer(request, A2A_Version=version)
        by_query = await rpc.answer(request, path=f"/a2a/load/?A2A-Version={version}")
        assert error_of(by_header) == error_of(by_query) == VERSION, method
        detail = by_header["error"]["data"][0]
        assert detail["metadata"] == {"requested": version, "supported": "1.0, 0.3"}


@pytest.mark.parametrize("version", NOT_SERVED)
@pytest.mark.parametrize("path", ["/tasks", f"/tasks/{UNKNOWN_TASK}", "/extendedAgentCard"])
async def test_a_version_that_is_not_served_is_refused_whatever_the_url(
    rpc: JsonRpcClient, path: str, version: str
) -> None:
    rest = HttpJsonClient()
    assert refusal_of(await rest.get(path, A2A_Version=version)) == PLAIN_VERSION
    by_query = await rest.get(f"{path}?A2A-Version={version}", A2A_Version="")
    assert refusal_of(by_query) == PLAIN_VERSION
    old = await rest.get(f"/v1/tasks/{UNKNOWN_TASK}", A2A_Version=version)
    assert (old.status_code, json_of(old)["code"]) == (400, -32009)


@pytest.mark.parametrize("version", OURS)
@pytest.mark.parametrize("method", ["GetTask", "CancelTask", "SubscribeToTask"])
async def test_our_version_may_be_named_with_a_patch_by_query_or_not_at_all(
    rpc: JsonRpcClient, method: str, version: str
) -> None:
    request = envelope(method, {"id": UNKNOWN_TASK})
    by_header = await rpc.answer(request, A2A_Version=version)
    by_query = await rpc.answer(request, path=f"/a2a/load/?A2A-Version={version.strip()}")
    assert error_of(by_header) == error_of(by_query) == NOT_FOUND
    path = f"/tasks/{UNKNOWN_TASK}"
    assert refusal_of(await HttpJsonClient().get(path, A2A_Version=version)) == (
        404,
        "TASK_NOT_FOUND",
    )


@pytest.mark.parametrize("version", OLD)
@pytest.mark.parametrize("method", ["tasks/get", "tasks/cancel", "tasks/resubscribe"])
async def test_0_3_may_be_named_with_a_patch_by_query_or_not_at_all(
    rpc: JsonRpcClient, method: str, version: str
) -> None:
    request = envelope(method, {"id": UNKNOWN_TASK})
    by_header = await rpc.answer(request, A2A_Version=version)
    by_query = await rpc.answer(request, path=f"/a2a/load/?A2A-Version={version.strip()}")
    assert error_of(by_header) == error_of(by_query) == NOT_FOUND
    plain = await HttpJsonClient().get(f"/v1/tasks/{UNKNOWN_TASK}", A2A_Version=version)
    assert (plain.status_code, json_of(plain)["code"]) == (404, -32001)


async def test_the_header_comes_before_the_query(rpc: JsonRpcClient) -> None:
    request = envelope("GetTask", {"id": UNKNOWN_TASK})
    answer = await rpc.answer(request, path="/a2a/load/?A2A-Version=2.0", A2A_Version="1.0")
    assert error_of(answer) == NOT_FOUND


@pytest.mark.parametrize("method", RPC_METHODS)
async def test_a_method_of_0_3_is_unknown_in_1_0(rpc: JsonRpcClient, method: str) -> None:
    answer = await rpc.answer(envelope(method, {}), A2A_Version="1.0")
    assert error_of(answer) == UNKNOWN_METHOD


@pytest.mark.parametrize("method", OPERATIONS)
async def test_a_method_of_1_0_is_unknown_in_0_3(rpc: JsonRpcClient, method: str) -> None:
    answer = await rpc.answer(envelope(method, {}), A2A_Version="0.3")
    assert error_of(answer) == UNKNOWN_METHOD


async def test_a_url_of_one_version_is_unknown_in_the_other(rpc: JsonRpcClient) -> None:
    new = await HttpJsonClient().get("/tasks", A2A_Version="0.3")
    assert refusal_of(new) == (404, "METHOD_NOT_FOUND")
    old = await HttpJsonClient().get(f"/v1/tasks/{UNKNOWN_TASK}", A2A_Version="1.0")
    assert (old.status_code, json_of(old)["code"]) == (404, -32601)


async def test_a_method_that_no_version_has_is_unknown(rpc: JsonRpcClient) -> None:
    for method in ("NoSuchMethod", "no/such/method"):
        assert error_of(await rpc.answer(envelope(method, {}))) == UNKNOWN_METHOD


async def test_0_3_may_be_switched_off(a2a: ChangeSettings, rpc: JsonRpcClient) -> None:
    a2a(PROTOCOL_VERSIONS=["1.0"])
    for method in RPC_METHODS:
        for version in ("", "0.3"):
            answer = await rpc.answer(envelope(method, {}), A2A_Version=version)
            assert error_of(answer) == VERSION
            assert answer["error"]["data"][0]["metadata"]["supported"] == "1.0"
    assert (
        await HttpJsonClient().get(f"/v1/tasks/{UNKNOWN_TASK}", A2A_Version="")
    ).status_code == 404
    assert refusal_of(await HttpJsonClient().get("/tasks", A2A_Version="0.3")) == PLAIN_VERSION
    assert bad_fields(await rpc.answer(envelope("GetTask", {}))) == ["id"]
