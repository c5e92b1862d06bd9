"""HTTP+JSON (section 11): routes, bodies, and errors as statuses."""

import json

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from a2a_app.bindings.routes import RESERVED, ROUTES, ROUTES_03, TENANT_ROUTES, Route
from a2a_app.operations import OPERATIONS
from tests.bindings import users
from tests.clients.http_json import A2A_JSON, HttpJsonClient, bad_fields_of, json_of, refusal_of
from tests.clients.json_rpc import events_of
from tests.conftest import ChangeSettings
from tests.wire import UNKNOWN_TASK, load_message, state

NOT_FOUND = (404, "TASK_NOT_FOUND")
COMPLETED = "TASK_STATE_COMPLETED"
WAITS = {"end": "input-required"}


def path_of(route: Route, tenant: str = "acme") -> str:
    path = route.path.replace("{a2a_tenant:tenant}", tenant)
    return path.replace("{id}", UNKNOWN_TASK).replace("{task_id}", UNKNOWN_TASK)


def shown(route: Route) -> str:
    return f"{route.verb} {route.path}"


# Routes.


def test_every_operation_has_a_route() -> None:
    assert {route.method.name for route in ROUTES} == set(OPERATIONS)


async def test_a_message_is_sent_and_its_task_is_read_listed_and_canceled(
    rest: HttpJsonClient,
) -> None:
    task = await rest.task(**WAITS)
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
    task = await rest.task(**WAITS)
    response = await rest.ask(method, f"/tasks/{task['id']}:subscribe")
    assert response["Content-Type"] == "text/event-stream"
    await rest.result("POST", f"/tasks/{task['id']}:cancel")
    first, *_, last = await events_of(response)
    assert first["task"]["id"] == task["id"]
    assert last["statusUpdate"]["status"]["state"] == "TASK_STATE_CANCELED"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_stream_that_is_refused_is_never_opened(rest: HttpJsonClient, method: str) -> None:
    task = await rest.task()
    ended = await rest.ask(method, f"/tasks/{task['id']}:subscribe")
    assert refusal_of(ended) == (400, "UNSUPPORTED_OPERATION")
    assert refusal_of(await rest.ask(method, f"/tasks/{UNKNOWN_TASK}:subscribe")) == NOT_FOUND
    assert refusal_of(await rest.post("/message:stream", {})) == (400, "INVALID_PARAMS")


async def test_a_stream_goes_on_after_the_last_event_that_was_seen(rest: HttpJsonClient) -> None:
    task = await rest.task(**WAITS)
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
    assert response["Allow"] == "OPTIONS, POST"


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
        assert "There is n" in response.content.decode()  # type: ignore[attr-defined]  # no stream
    assert refusal_of(await rest.get("/tasks/tasks")) == NOT_FOUND


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
    empty = await rest.post(f"/tasks/{UNKNOWN_TASK}:cancel", Content_Type=media_type)
    assert refusal_of(empty) == (415, "INVALID_REQUEST")


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", A2A_JSON),
        ("*/*", A2A_JSON),
        ("application/json", "application/json"),
        ("application/json, application/a2a+json;q=0.5", "application/json"),
        (f"{A2A_JSON}, application/json;q=0.5", A2A_JSON),
        ("text/html", "application/json"),
        ("text/event-stream", "application/json"),
        ("text/html; charset*=BOGUS''x", "application/json"),
        # It would take too long to read so much for somebody who is not known yet.
        ("application/json, " * 100, A2A_JSON),
    ],
)
async def test_the_client_may_choose_the_media_type_of_the_answer(
    rest: HttpJsonClient, accept: str, media_type: str
) -> None:
    assert (await rest.get("/tasks", Accept=accept))["Content-Type"] == media_type
    assert (await rest.get(f"/tasks/{UNKNOWN_TASK}", Accept=accept))["Content-Type"] == media_type


async def test_no_answer_is_kept_by_a_cache(rest: HttpJsonClient) -> None:
    for path in ("/tasks", f"/tasks/{UNKNOWN_TASK}"):
        assert (await rest.get(path))["Cache-Control"] == "no-store"


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"message": NaN}', b"not json"])
async def test_a_body_that_is_no_json_is_refused(rest: HttpJsonClient, body: bytes) -> None:
    assert refusal_of(await rest.post("/message:send", body)) == (400, "JSON_PARSE")


@pytest.mark.parametrize("body", [b"[]", b"1", b'"text"', b"false", b"true"])
async def test_a_body_that_is_no_object_is_refused(rest: HttpJsonClient, body: bytes) -> None:
    assert refusal_of(await rest.post("/message:send", body)) == (400, "INVALID_REQUEST")


async def test_a_body_that_is_too_large_is_refused(
    a2a: ChangeSettings, rest: HttpJsonClient
) -> None:
    a2a(MAX_BODY_BYTES=10)
    response = await rest.post("/message:send", {"message": load_message()})
    assert refusal_of(response) == (413, "INVALID_REQUEST")


async def test_an_error_is_a_status_with_the_reason_in_its_details(rest: HttpJsonClient) -> None:
    response = await rest.get(f"/tasks/{UNKNOWN_TASK}")
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
                    "metadata": {"taskId": UNKNOWN_TASK},
                }
            ],
        }
    }


async def test_a_completed_task_cannot_be_canceled(rest: HttpJsonClient) -> None:
    task = await rest.task()
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
    task = await ann.task(**WAITS)
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
