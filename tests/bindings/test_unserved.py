"""What no operation answers below /a2a/ is an error of the binding, and never a page of HTML."""

from typing import Any

import pytest
from django.http.response import HttpResponseBase

from tests.bindings.conftest import BYPASS
from tests.clients.http_json import HttpJsonClient, json_of, refusal_of
from tests.clients.json_rpc import JsonRpcClient, body_of, error_of
from tests.wire import UNKNOWN_TASK, envelope

INVALID = "INVALID_REQUEST"


async def ask(rpc: JsonRpcClient, verb: str, path: str, **headers: str) -> HttpResponseBase:
    named = {"A2A-Version": "1.0", **headers}
    return await rpc.http.generic(verb, path, b"", "application/json", headers=named)


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
@pytest.mark.parametrize(
    "path",
    [
        "/a2a/nothing", "/a2a/nothing/", "/a2a/nothing/tasks", "/a2a/nothing/message:send",
        "/a2a/nothing/.well-known/agent-card.json", "/a2a/load/tasks/", "/a2a/load/tasks/a/b/c/d",
        "/a2a/files/nothing/", "/a2a/%00/", "/a2a//",
    ],
)  # fmt: skip  # paths, a few on a line
async def test_what_is_not_there_is_not_found(rpc: JsonRpcClient, verb: str, path: str) -> None:
    response = await ask(rpc, verb, path)
    assert response.status_code == 404
    if verb != "HEAD":
        assert refusal_of(response) == (404, INVALID)


@pytest.mark.parametrize("chain", [True, False])
@pytest.mark.parametrize(
    ("verb", "path", "allowed"),
    [
        ("GET", "/a2a/load/", "OPTIONS, POST"),
        ("GET", "/a2a/load", "OPTIONS, POST"),
        ("PUT", "/a2a/load/tasks", "GET, HEAD, OPTIONS"),
        ("GET", "/a2a/load/message:send", "OPTIONS, POST"),
        ("POST", "/a2a/load/.well-known/agent-card.json", "GET, HEAD, OPTIONS"),
        ("POST", "/a2a/", "GET, HEAD, OPTIONS"),
    ],
)
async def test_another_verb_is_not_allowed_and_options_says_which_are(
    rpc: JsonRpcClient, chain: bool, request: Any, verb: str, path: str, allowed: str
) -> None:
    if chain:
        request.getfixturevalue("whole_chain")
    response = await ask(rpc, verb, path)
    assert refusal_of(response) == (405, INVALID)
    assert response["Allow"] == allowed
    options = await ask(rpc, "OPTIONS", path)
    assert (options.status_code, options["Allow"]) == (204, allowed)


async def test_what_a_client_accepts_need_not_be_readable(rpc: JsonRpcClient) -> None:
    response = await ask(rpc, "GET", "/a2a/nothing/", Accept="a/b; charset*=BOGUS''x")
    assert refusal_of(response) == (404, INVALID)


TOO_MANY = "&".join(["x=1"] * 1001)


@pytest.mark.parametrize("chain", [True, False])
@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "/a2a/load/tasks"),
        ("GET", "/a2a/load/.well-known/agent-card.json"),
        ("GET", "/a2a/ard.api/agents"),
        ("GET", f"/a2a/files/{'0' * 32}:1:{'a' * 43}"),
        ("POST", "/a2a/load/message:send"),
    ],
)
async def test_a_query_of_too_many_parameters_is_refused(
    rpc: JsonRpcClient, chain: bool, request: Any, verb: str, path: str
) -> None:
    if chain:
        request.getfixturevalue("whole_chain")
    # The version may be one of them, where no header names it.
    response = await ask(rpc, verb, f"{path}?{TOO_MANY}", **{"A2A-Version": ""})
    assert refusal_of(response) == (400, INVALID)
    assert json_of(response)["error"]["message"] == "The query has too many parameters."


async def test_a_query_of_too_many_parameters_is_refused_over_json_rpc(rpc: JsonRpcClient) -> None:
    answer = body_of(await rpc.post(envelope("ListTasks", {}), path=f"/a2a/load/?{TOO_MANY}"))
    assert error_of(answer) == (-32600, INVALID)


async def test_head_answers_where_get_does_without_a_body(rest: HttpJsonClient) -> None:
    task = await rest.task(end="input-required")
    for path in ("/tasks", f"/tasks/{task['id']}", f"/tasks/{UNKNOWN_TASK}", "/v1/tasks"):
        version = "" if path.startswith("/v1") else "1.0"
        got: Any = await rest.get(path, A2A_Version=version)
        response: Any = await rest.ask("HEAD", path, A2A_Version=version)
        assert response.status_code == got.status_code
        assert response["Content-Type"] == got["Content-Type"]
        assert response["Content-Length"] == str(len(got.content))
        assert response.content == b""


async def test_head_of_a_subscription_opens_no_stream(rest: HttpJsonClient) -> None:
    task = await rest.task(end="input-required")
    response = await rest.ask("HEAD", f"/tasks/{task['id']}:subscribe")
    assert (response.status_code, response.streaming) == (200, False)
    assert response["Content-Type"] == "text/event-stream"


HOSTED = [
    ("GET", "/a2a/load/.well-known/agent-card.json"),
    ("GET", "/.well-known/agent-card.json"),
    ("GET", "/a2a/"),
    ("GET", "/a2a/load/tasks"),
    ("POST", "/a2a/load/message:send"),
    ("GET", "/a2a/files/a:b:c"),
    ("PUT", "/a2a/load/"),
    ("GET", "/a2a/nothing/"),
    ("GET", "/a2a/a/b/c/d/e"),
]


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize(("verb", "path"), HOSTED)
async def test_a_host_that_is_not_allowed_is_refused(
    rpc: JsonRpcClient, settings: Any, debug: bool, verb: str, path: str
) -> None:
    settings.DEBUG = debug
    # Django allows the host of the machine itself where it develops and nothing is set.
    settings.ALLOWED_HOSTS = [] if debug else ["agents.example.com"]
    response = await ask(rpc, verb, path)
    assert refusal_of(response) == (400, INVALID)
    assert "Host" in json_of(response)["error"]["message"]
    settings.ALLOWED_HOSTS = ["testserver"]
    assert b"The Host" not in (await ask(rpc, verb, path)).content  # type: ignore[attr-defined]  # no stream


@pytest.mark.parametrize("path", ["/a2a/load/", "/a2a/load", "/a2a/nothing/"])
async def test_a_host_that_is_not_allowed_is_refused_over_json_rpc(
    rpc: JsonRpcClient, settings: Any, path: str
) -> None:
    settings.ALLOWED_HOSTS = ["agents.example.com"]
    listed = envelope("ListTasks", {})
    answer = body_of(await rpc.post(listed, path=path))
    assert (error_of(answer), answer["id"]) == ((-32600, INVALID), None)
    assert "Host" in answer["error"]["message"]


async def test_a_host_that_is_not_allowed_is_refused_in_the_old_form_over_http_json_of_03(
    rpc: JsonRpcClient, settings: Any
) -> None:
    settings.ALLOWED_HOSTS = ["agents.example.com"]
    response = await ask(rpc, "GET", "/a2a/load/v1/tasks")
    assert (response.status_code, json_of(response)["code"]) == (400, -32600)


@pytest.mark.parametrize("first", range(5))
async def test_no_order_of_the_middleware_lets_a_host_pass_that_is_not_allowed(
    rpc: JsonRpcClient, settings: Any, first: int
) -> None:
    others = [path for path in settings.MIDDLEWARE if path != BYPASS]
    settings.MIDDLEWARE = [*others[:first], BYPASS, *others[first:]]
    settings.ALLOWED_HOSTS = ["agents.example.com"]
    response = await ask(rpc, "GET", "/a2a/load/tasks")
    assert response.status_code == 400


async def test_the_description_that_is_switched_off_is_not_found(
    rpc: JsonRpcClient, a2a: Any
) -> None:
    a2a(API_DOCS=False)
    for path in ("/a2a/openapi.html", "/a2a/openapi.json"):
        assert refusal_of(await ask(rpc, "GET", path)) == (404, INVALID)


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [
        ("GET", "/a2a/load/v1/nothing", 404),
        ("GET", "/a2a/load/v1/tasks//pushNotificationConfigs", 404),
        ("GET", "/a2a/nothing/v1/tasks", 404),
        ("GET", "/a2a/load/v1/message:send", 405),
    ],
)
async def test_below_the_urls_of_0_3_the_error_has_the_form_of_0_3(
    rpc: JsonRpcClient, verb: str, path: str, status: int
) -> None:
    response = await ask(rpc, verb, path, **{"A2A-Version": ""})
    error = json_of(response)
    assert set(error) == {"code", "message", "data"}
    assert (response.status_code, error["code"]) == (status, -32600)
