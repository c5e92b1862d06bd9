"""HTTP+JSON (section 11): routes, parameters in paths and queries, errors as statuses."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from a2a_app.bindings.routes import RESERVED, ROUTES, ROUTES_03, TENANT_ROUTES, Route
from a2a_app.operations import OPERATIONS
from tests.bindings import users
from tests.clients.http_json import A2A_JSON, HttpJsonClient, bad_fields_of, json_of, refusal_of
from tests.clients.json_rpc import events_of
from tests.conftest import ChangeSettings
from tests.wire import load_message, message, state

NOBODY = "00000000-0000-7000-8000-000000000000"
NOT_FOUND = (404, "TASK_NOT_FOUND")
COMPLETED = "TASK_STATE_COMPLETED"
WAITS = {"end": "input-required"}


@pytest.fixture
async def rest(a2a: ChangeSettings, runtime: None) -> AsyncIterator[HttpJsonClient]:
    yield HttpJsonClient()


def path_of(route: Route, tenant: str = "acme") -> str:
    path = route.path.replace("{a2a_tenant:tenant}", tenant)
    return path.replace("{id}", NOBODY).replace("{task_id}", NOBODY)


def shown(route: Route) -> str:
    return f"{route.verb} {route.path}"


async def sent(rest: HttpJsonClient, **load: Any) -> dict[str, Any]:
    result = await rest.result("POST", "/message:send", {"message": load_message(**load)})
    task: dict[str, Any] = result["task"]
    return task


# Routes.


def test_every_operation_has_a_route() -> None:
    assert {route.method.name for route in ROUTES} == set(OPERATIONS)


async def test_a_message_is_sent_and_its_task_is_read_listed_and_canceled(
    rest: HttpJsonClient,
) -> None:
    task = await sent(rest, **WAITS)
    assert task["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    assert await rest.result("GET", f"/tasks/{task['id']}") == task
    listed = await rest.result("GET", "/tasks")
    assert [each["id"] for each in listed["tasks"]] == [task["id"]]
    canceled = await rest.result("POST", f"/tasks/{task['id']}:cancel", {"metadata": {"a": 1}})
    assert canceled["status"]["state"] == "TASK_STATE_CANCELED"
    again = await rest.result("POST", f"/tasks/{task['id']}:cancel")
    assert again == canceled


async def test_a_stream_is_the_task_and_its_events_without_an_envelope(
    rest: HttpJsonClient,
) -> None:
    response = await rest.post("/message:stream", {"message": load_message(chunks=2)})
    assert response["Content-Type"] == "text/event-stream"
    events = await events_of(response)
    assert all(len(event) == 1 for event in events)
    assert "task" in events[0]
    assert state(events[-1]) == "COMPLETED"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_task_is_subscribed_to_by_get_and_by_post(
    rest: HttpJsonClient, method: str
) -> None:
    task = await sent(rest, **WAITS)
    response = await rest.ask(method, f"/tasks/{task['id']}:subscribe")
    assert response["Content-Type"] == "text/event-stream"
    await rest.result("POST", f"/tasks/{task['id']}:cancel")
    first, *_, last = await events_of(response)
    assert first["task"]["id"] == task["id"]
    assert last["statusUpdate"]["status"]["state"] == "TASK_STATE_CANCELED"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_stream_that_is_refused_is_never_opened(rest: HttpJsonClient, method: str) -> None:
    task = await sent(rest)
    ended = await rest.ask(method, f"/tasks/{task['id']}:subscribe")
    assert refusal_of(ended) == (400, "UNSUPPORTED_OPERATION")
    assert refusal_of(await rest.ask(method, f"/tasks/{NOBODY}:subscribe")) == NOT_FOUND
    assert refusal_of(await rest.post("/message:stream", {})) == (400, "INVALID_PARAMS")


async def test_a_stream_goes_on_after_the_last_event_that_was_seen(rest: HttpJsonClient) -> None:
    task = await sent(rest, **WAITS)
    path = f"/tasks/{task['id']}:subscribe"
    response = await rest.get(path, Last_Event_ID="1")
    await rest.result("POST", f"/tasks/{task['id']}:cancel")
    assert all("task" not in event for event in await events_of(response))
    assert bad_fields_of(await rest.get(path, Last_Event_ID="x")) == ["Last-Event-ID"]


@pytest.mark.parametrize(
    "route", [*ROUTES, *TENANT_ROUTES], ids=lambda route: f"{route.verb} {route.path}"
)
async def test_every_route_leads_to_its_operation_and_no_other_method_does(
    rest: HttpJsonClient, route: Route
) -> None:
    path = path_of(route)
    response = await rest.ask(route.verb, path)
    # One that was not found is a task: the answer is the binding's.
    assert response["Content-Type"] == A2A_JSON and response.status_code != 405
    for method in ("PUT", "PATCH"):
        assert (await rest.ask(method, path)).status_code == 405


@pytest.mark.parametrize("path", ["/message:send", "/acme/message:send"])
async def test_a_get_where_a_post_belongs_is_not_allowed(rest: HttpJsonClient, path: str) -> None:
    response = await rest.get(path)
    assert response.status_code == 405
    assert response["Allow"] == "POST"


@pytest.mark.parametrize("path", ["/task", "/tasks/", "/tasks/a/b", "/message:sends", "/v2/x/y"])
async def test_a_path_that_is_no_route_is_not_found(rest: HttpJsonClient, path: str) -> None:
    assert (await rest.get(path)).status_code == 404
    assert (await rest.post(path, {})).status_code == 404


async def test_an_agent_that_does_not_exist_has_no_routes(rest: HttpJsonClient) -> None:
    assert (await HttpJsonClient("nobody").get("/tasks")).status_code == 404


@pytest.mark.parametrize("name", RESERVED)
async def test_no_tenant_hides_a_route(rest: HttpJsonClient, name: str) -> None:
    for path in ("/tasks/x", "/tasks/x/pushNotificationConfigs/y"):
        response = await rest.get(f"/{name}{path}")
        assert response.status_code == 404
        assert response["Content-Type"] != A2A_JSON
    assert refusal_of(await rest.get("/tasks/tasks")) == NOT_FOUND


# Parameters.


@pytest.mark.parametrize("route", TENANT_ROUTES, ids=shown)
async def test_a_tenant_in_the_path_is_the_tenant_of_the_parameters(
    rest: HttpJsonClient, route: Route
) -> None:
    # No agent asks for its tenant yet: that it is checked shows that it is there.
    response = await rest.ask(route.verb, path_of(route, tenant="%00"), {})
    assert "tenant" in bad_fields_of(response)


async def test_a_tenant_may_be_named_in_the_path_or_in_the_parameters(rest: HttpJsonClient) -> None:
    said = {"message": load_message(), "tenant": "acme"}
    for path in ("/message:send", "/acme/message:send"):
        result = await rest.result("POST", path, said)
        assert result["task"]["status"]["state"] == COMPLETED
    assert bad_fields_of(await rest.post("/other/message:send", said)) == ["tenant"]
    assert (await rest.result("GET", "/acme/tasks?tenant=acme"))["totalSize"] == 2
    assert bad_fields_of(await rest.get("/other/tasks?tenant=acme")) == ["tenant"]


async def test_the_body_may_repeat_what_is_in_the_path_and_not_contradict_it(
    rest: HttpJsonClient,
) -> None:
    task = await sent(rest, **WAITS)
    path = f"/tasks/{task['id']}:cancel"
    assert bad_fields_of(await rest.post(path, {"id": NOBODY})) == ["id"]
    canceled = await rest.result("POST", path, {"id": task["id"]})
    assert canceled["id"] == task["id"]


async def test_a_query_is_read_by_the_kind_of_each_field(rest: HttpJsonClient) -> None:
    first, second = await sent(rest, chunks=2), await sent(rest, **WAITS)
    listed = await rest.result(
        "GET",
        "/tasks?pageSize=1&includeArtifacts=true&historyLength=0&status=TASK_STATE_COMPLETED"
        f"&contextId={first['contextId']}&statusTimestampAfter=2026-01-01T00:00:00Z",
    )
    [found] = listed["tasks"]
    assert (found["id"], listed["pageSize"]) == (first["id"], 1)
    assert found["artifacts"] == first["artifacts"]
    assert "history" not in found
    snake = await rest.result("GET", f"/tasks?context_id={second['contextId']}&page_size=7")
    assert [each["id"] for each in snake["tasks"]] == [second["id"]]
    assert snake["pageSize"] == 7
    bare = await rest.result("GET", "/tasks?includeArtifacts=false&unknown=1")
    assert all("artifacts" not in each for each in bare["tasks"])
    task = await rest.result("GET", f"/tasks/{first['id']}?history_length=0")
    assert "history" not in task


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("pageSize=many", "pageSize"),
        ("pageSize=", "pageSize"),
        ("page_size=0", "pageSize"),
        ("pageSize=101", "pageSize"),
        ("pageSize=1&pageSize=2", "pageSize"),
        ("pageSize=1&page_size=1", "pageSize"),
        ("includeArtifacts=1", "includeArtifacts"),
        ("includeArtifacts=True", "includeArtifacts"),
        ("status=completed", "status"),
        ("statusTimestampAfter=yesterday", "statusTimestampAfter"),
        ("historyLength=-1", "historyLength"),
        ("pageToken=?", "pageToken"),
        ("contextId=%00", "contextId"),
    ],
)
async def test_every_bad_field_of_a_query_is_named(
    rest: HttpJsonClient, query: str, field: str
) -> None:
    assert bad_fields_of(await rest.get(f"/tasks?{query}")) == [field]


async def test_every_bad_field_of_a_body_is_named(rest: HttpJsonClient) -> None:
    said = message(role="USER", parts=[{"text": 1}])
    response = await rest.post("/message:send", {"message": said})
    assert bad_fields_of(response) == ["message.role", "message.parts[0].text"]


# Bodies, answers and errors.


@pytest.mark.parametrize(
    "media_type", ["application/json", A2A_JSON, f"{A2A_JSON}; charset=utf-8", ""]
)
async def test_both_media_types_are_read(rest: HttpJsonClient, media_type: str) -> None:
    response = await rest.post("/message:send", {"message": load_message()}, media_type=media_type)
    assert json_of(response)["task"]["status"]["state"] == COMPLETED


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded"])
async def test_a_body_of_another_media_type_is_refused(
    rest: HttpJsonClient, media_type: str
) -> None:
    response = await rest.post("/message:send", {"message": load_message()}, media_type=media_type)
    assert refusal_of(response) == (415, "INVALID_REQUEST")
    empty = await rest.post(f"/tasks/{NOBODY}:cancel", Content_Type=media_type)
    assert refusal_of(empty) == (415, "INVALID_REQUEST")


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", A2A_JSON),
        ("*/*", A2A_JSON),
        ("application/json", "application/json"),
        ("application/json, application/a2a+json;q=0.5", "application/json"),
        (f"{A2A_JSON}, application/json;q=0.5", A2A_JSON),
        ("text/html", A2A_JSON),
    ],
)
async def test_the_client_may_choose_the_media_type_of_the_answer(
    rest: HttpJsonClient, accept: str, media_type: str
) -> None:
    assert (await rest.get("/tasks", Accept=accept))["Content-Type"] == media_type
    assert (await rest.get(f"/tasks/{NOBODY}", Accept=accept))["Content-Type"] == media_type


async def test_no_answer_is_kept_by_a_cache(rest: HttpJsonClient) -> None:
    for path in ("/tasks", f"/tasks/{NOBODY}"):
        assert (await rest.get(path))["Cache-Control"] == "no-store"


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"message": NaN}', b"not json"])
async def test_a_body_that_is_no_json_is_refused(rest: HttpJsonClient, body: bytes) -> None:
    assert refusal_of(await rest.post("/message:send", body)) == (400, "JSON_PARSE")


@pytest.mark.parametrize("body", [b"[]", b"1", b'"text"', b"null", b"true"])
async def test_a_body_that_is_no_object_is_refused(rest: HttpJsonClient, body: bytes) -> None:
    assert refusal_of(await rest.post("/message:send", body)) == (400, "INVALID_REQUEST")


async def test_a_body_that_is_too_large_is_refused(
    a2a: ChangeSettings, rest: HttpJsonClient
) -> None:
    a2a(MAX_BODY_BYTES=10)
    response = await rest.post("/message:send", {"message": load_message()})
    assert refusal_of(response) == (413, "INVALID_REQUEST")


async def test_an_error_is_a_status_with_the_reason_in_its_details(rest: HttpJsonClient) -> None:
    response = await rest.get(f"/tasks/{NOBODY}")
    assert response.status_code == 404
    assert json_of(response) == {
        "error": {
            "code": 404,
            "status": "NOT_FOUND",
            "message": "Task not found",
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "TASK_NOT_FOUND",
                    "domain": "a2a-protocol.org",
                    "metadata": {"taskId": NOBODY},
                }
            ],
        }
    }


async def test_a_completed_task_cannot_be_canceled(rest: HttpJsonClient) -> None:
    task = await sent(rest)
    response = await rest.post(f"/tasks/{task['id']}:cancel")
    assert refusal_of(response) == (400, "TASK_NOT_CANCELABLE")


@pytest.mark.parametrize("route", [*ROUTES, *ROUTES_03], ids=shown)
async def test_callers_without_credentials_are_refused(
    a2a: ChangeSettings, rest: HttpJsonClient, route: Route
) -> None:
    a2a(ANONYMOUS="refuse")
    response = await rest.ask(route.verb, path_of(route), A2A_Version="")
    assert response.status_code == 401
    assert response["WWW-Authenticate"]
    if route in ROUTES:
        assert refusal_of(response) == (401, "UNAUTHENTICATED")
    else:
        assert json_of(response)["code"] == -32050


async def test_a_task_of_another_caller_is_not_found(
    a2a: ChangeSettings, rest: HttpJsonClient
) -> None:
    a2a(ANONYMOUS="refuse", AUTHENTICATION=[f"{users.__name__}.by_username"])
    for name in ("ann", "bob"):
        await sync_to_async(User.objects.create)(username=name)
    ann, bob = HttpJsonClient(X_User="ann"), HttpJsonClient(X_User="bob")
    task = await sent(ann, **WAITS)
    path = f"/tasks/{task['id']}"
    assert refusal_of(await bob.get(path)) == NOT_FOUND
    assert refusal_of(await bob.post(f"{path}:cancel")) == NOT_FOUND
    assert refusal_of(await bob.get(f"{path}:subscribe")) == NOT_FOUND
    said = {"message": load_message() | {"taskId": task["id"]}}
    assert refusal_of(await bob.post("/message:send", said)) == NOT_FOUND
    assert (await bob.result("GET", "/tasks"))["totalSize"] == 0


async def secretive(request: object) -> object:
    raise RuntimeError("the password is hunter2")


async def test_an_internal_error_says_nothing_of_what_is_inside(
    a2a: ChangeSettings, rest: HttpJsonClient, caplog: pytest.LogCaptureFixture
) -> None:
    a2a(AUTHENTICATION=[f"{__name__}.secretive"])
    response = await rest.get("/tasks")
    assert refusal_of(response) == (500, "INTERNAL")
    answer = json.dumps(json_of(response))
    assert "hunter2" not in answer and "RuntimeError" not in answer
    assert json_of(response)["error"]["message"].rpartition(" ")[2] in caplog.text
