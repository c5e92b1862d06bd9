"""Django projects: the app works whatever they have switched on."""

import json
from typing import Any

import pytest
from django.db import connection, connections
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import async_only_middleware

from a2a_app.middleware import bypass
from tests.bindings import customers
from tests.bindings.conftest import BYPASS
from tests.clients.http_json import HttpJsonClient
from tests.clients.json_rpc import JsonRpcClient, body_of, error_of, events_of
from tests.clients.sockets import SocketClient
from tests.conftest import ChangeSettings, Serve
from tests.wire import envelope, load_message, message, state

pytestmark = pytest.mark.usefixtures("whole_chain")

LOGIN = "django.contrib.auth.middleware.LoginRequiredMiddleware"
COMPLETED = "TASK_STATE_COMPLETED"
TOO_LARGE = (-32600, "INVALID_REQUEST")


async def _works(rpc: JsonRpcClient) -> None:
    """Use every way an operation answers, and both places of the card."""
    task = await rpc.task(end="input-required")
    assert (await rpc.result("GetTask", id=task["id"]))["id"] == task["id"]
    answer = {"message": load_message() | {"taskId": task["id"]}}
    events = await events_of(await rpc.post(envelope("SendStreamingMessage", answer)))
    assert state(events[-1]["result"]) == "COMPLETED"
    assert (await rpc.result("ListTasks"))["totalSize"] == 1
    sent = await HttpJsonClient().result("POST", "/message:send", {"message": load_message()})
    assert sent["task"]["status"]["state"] == COMPLETED
    stream = await HttpJsonClient().post("/message:stream", {"message": load_message()})
    assert state((await events_of(stream))[-1]) == "COMPLETED"
    assert (
        await HttpJsonClient().get(f"/v1/tasks/{task['id']}", A2A_Version="")
    ).status_code == 200
    cards = ("/.well-known/agent-card.json", "/.well-known/agent.json")
    for path in (*cards, *(f"/a2a/load{card}" for card in cards)):
        assert (await rpc.http.get(path)).status_code == 200


@async_only_middleware
def closed(_: Any) -> Any:
    """Let nobody in, as middleware of a project that knows no programs may do."""

    async def middleware(request: HttpRequest) -> HttpResponseBase:
        return HttpResponse(status=503)

    return middleware


async def _status(rpc: JsonRpcClient, path: str) -> int:
    return (await rpc.post(envelope("ListTasks", {}), path=path)).status_code


@pytest.mark.slow
async def test_with_a_transaction_for_each_request(
    rpc: JsonRpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    await _works(rpc)


@pytest.mark.slow
async def test_with_a_login_required_for_every_page(settings: Any, rpc: JsonRpcClient) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, LOGIN]
    # The app opens no pages for people: they ask for what the project asks for.
    for page in ("/admin/", "/a2a/openapi.html", "/a2a/openapi.json"):
        assert (await rpc.http.get(page)).status_code == 302
    await _works(rpc)


async def test_past_the_middleware_below(settings: Any, rpc: JsonRpcClient) -> None:
    below = [*settings.MIDDLEWARE, f"{__name__}.closed"]
    settings.MIDDLEWARE = below
    assert (await rpc.http.get("/a2a/load/.well-known/agent-card.json")).status_code == 503
    rpc.http.handler.load_middleware(is_async=True)
    settings.MIDDLEWARE = [BYPASS, *below]
    rpc.http.handler.load_middleware(is_async=True)
    await _works(rpc)
    answered = await rpc.post(envelope("ListTasks", {}))
    assert answered["Content-Length"] == str(
        len(json.dumps(body_of(answered), separators=(",", ":")))
    )
    for none in ("/a2a/none/", "/a2a/none/.well-known/agent-card.json"):
        assert (await rpc.http.get(none)).status_code in (404, 405)
    # Pages for people, and URLs of the project's own, go the whole way.
    for page in ("/a2a/openapi.html", "/a2a/openapi.json", "/admin/", "/nothing/a2a/"):
        assert (await rpc.http.get(page)).status_code == 503


async def test_past_the_middleware_only_where_the_project_has_us_at_present(
    settings: Any, rpc: JsonRpcClient
) -> None:
    settings.MIDDLEWARE = [BYPASS, f"{__name__}.closed"]
    assert [await _status(rpc, "/a2a/load/") for _ in range(2)] == [200, 200]
    settings.ROOT_URLCONF = customers.__name__
    assert await _status(rpc, "/a2a/load/") == 503
    for there, status in ((True, 200), (False, 503), (True, 200)):
        (customers.CUSTOMERS.add if there else customers.CUSTOMERS.discard)("acme")
        assert [await _status(rpc, "/acme/a2a/load/") for _ in range(2)] == [status, status]


async def test_past_nothing_where_requests_are_synchronous(settings: Any) -> None:
    def page(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    assert bypass(page) is page


async def test_with_hardly_any_memory_for_uploads(settings: Any, rpc: JsonRpcClient) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1
    await _works(rpc)


async def test_with_checks_against_forged_requests(rpc: JsonRpcClient) -> None:
    rpc.http.handler.enforce_csrf_checks = True
    await _works(rpc)


async def test_with_redirects_to_https_for_clients_that_came_by_it(
    settings: Any, rpc: JsonRpcClient
) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    response = await rpc.post(
        envelope("SendMessage", {"message": load_message()}), X_Forwarded_Proto="https"
    )
    assert body_of(response)["result"]["task"]["status"]["state"] == COMPLETED


async def test_a_body_may_be_as_large_as_the_setting_says(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    request = json.dumps(envelope("SendMessage", {"message": load_message()})).encode()
    a2a(MAX_BODY_BYTES=len(request))
    task = (await rpc.answer(request))["result"]["task"]
    assert task["status"]["state"] == COMPLETED
    response = await rpc.post(request + b" ")
    assert response.status_code == 413
    assert error_of(body_of(response)) == TOO_LARGE


async def test_a_real_server_refuses_a_body_that_is_too_large_and_goes_on(serve: Serve) -> None:
    limit = 100_000
    database = "postgresql" if connection.vendor == "postgresql" else "sqlite"
    server = serve(database, settings_module="tests.bindings.strict", MAX_BODY_BYTES=limit)
    async with SocketClient(server.url) as client:
        large = envelope("SendMessage", {"message": message("x" * 10 * limit)})
        response = await client.http.post(client.url, json=large, headers=client.headers)
        assert response.status_code == 413
        assert error_of(response.json()) == TOO_LARGE
        assert (await client.http.get(f"{server.url}/admin/")).status_code == 302
        events = await client.stream("SendStreamingMessage", message=load_message(chunks=3))
        assert state(events[-1][1]) == "COMPLETED"
        task = await client.send(message("x" * (limit // 2)))
        assert task["history"][0]["parts"][0]["text"] == "x" * (limit // 2)
