"""Callers: who may ask, and that nobody sees the tasks of others (R11)."""

from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, User
from django.http import HttpRequest

from a2a_app import models
from a2a_app.agents import Turn, registry
from a2a_app.agents.registry import make_agent
from a2a_app.authentication import CallerName
from tests.bindings import users
from tests.clients.json_rpc import JsonRpcClient, body_of, error_of, events_of
from tests.conftest import ChangeSettings
from tests.wire import calls_about, envelope, load_message, message


class Key:
    """An object of a project's own, whose text is secret."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


class Empty(CallerName):
    """A name that is empty, and true all the same."""

    def __bool__(self) -> bool:
        return True


NOT_FOUND = (-32001, "TASK_NOT_FOUND")
WHO = users.__name__
WAITS = {"end": "input-required"}


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("SendMessage", {"message": load_message()}),
        ("SendStreamingMessage", {"message": load_message()}),
        ("GetTask", {"id": "x"}),
        ("ListTasks", {}),
        ("CancelTask", {"id": "x"}),
        ("SubscribeToTask", {"id": "x"}),
        ("ListTaskPushNotificationConfigs", {"taskId": "x"}),
        ("GetExtendedAgentCard", {}),
    ],
)
@pytest.mark.parametrize("authentication", [[], [f"{WHO}.by_username"], [f"{WHO}.by_nobody"]])
async def test_callers_without_credentials_are_refused_unless_they_share(
    a2a: ChangeSettings,
    rpc: JsonRpcClient,
    authentication: list[str],
    method: str,
    params: dict[str, Any],
) -> None:
    a2a(ANONYMOUS="refuse", AUTHENTICATION=authentication)
    response = await rpc.post(envelope(method, params))
    assert response.status_code == 401
    assert response["WWW-Authenticate"]
    answer = body_of(response)
    assert error_of(answer) == (-32050, "UNAUTHENTICATED")
    assert answer["id"] == "test"


async def test_the_card_is_for_everybody(a2a: ChangeSettings, rpc: JsonRpcClient) -> None:
    a2a(ANONYMOUS="refuse", AUTHENTICATION=[f"{WHO}.by_username"])
    response = await rpc.http.get("/a2a/load/.well-known/agent-card.json")
    assert response.status_code == 200


async def _two_users(a2a: ChangeSettings, authenticator: str) -> None:
    a2a(ANONYMOUS="refuse", AUTHENTICATION=[f"{WHO}.{authenticator}"])
    for name in ("ann", "bob"):
        await sync_to_async(User.objects.create)(username=name)


async def _as(rpc: JsonRpcClient, user: str, method: str, **params: Any) -> dict[str, Any]:
    return await rpc.call(method, params, X_User=user)


async def _sent(rpc: JsonRpcClient, user: str, said: dict[str, Any]) -> dict[str, Any]:
    answer = await _as(rpc, user, "SendMessage", message=said)
    task: dict[str, Any] = answer["result"]["task"]
    return task


@pytest.mark.parametrize("authenticator", ["by_username", "by_name", "ByLongKey"])
async def test_a_task_of_another_caller_is_not_found_by_any_operation(
    a2a: ChangeSettings, rpc: JsonRpcClient, authenticator: str
) -> None:
    await _two_users(a2a, authenticator)
    task = await _sent(rpc, "ann", load_message(**WAITS))
    named = load_message() | {"taskId": task["id"], "contextId": task["contextId"]}
    for method, params in (*calls_about(task["id"]), ("SendMessage", {"message": named})):
        assert error_of(await _as(rpc, "bob", method, **params)) == NOT_FOUND, method
    resumed = await rpc.call("SubscribeToTask", {"id": task["id"]}, X_User="bob", Last_Event_ID="1")
    assert error_of(resumed) == NOT_FOUND
    assert (await _as(rpc, "ann", "GetTask", id=task["id"]))["result"] == task


@pytest.mark.parametrize("authenticator", ["by_username", "by_name", "ByLongKey"])
async def test_lists_hold_only_the_callers_own_tasks(
    a2a: ChangeSettings, rpc: JsonRpcClient, authenticator: str
) -> None:
    await _two_users(a2a, authenticator)
    task = await _sent(rpc, "ann", load_message())
    for filters in ({}, {"contextId": task["contextId"]}, {"status": "TASK_STATE_COMPLETED"}):
        his = (await _as(rpc, "bob", "ListTasks", **filters))["result"]
        hers = (await _as(rpc, "ann", "ListTasks", **filters))["result"]
        assert (his["tasks"], his["totalSize"]) == ([], 0)
        assert [each["id"] for each in hers["tasks"]] == [task["id"]]


async def test_a_page_token_of_another_caller_shows_nothing_of_theirs(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    await _two_users(a2a, "by_username")
    for _ in range(3):
        await _sent(rpc, "ann", load_message())
    page = (await _as(rpc, "ann", "ListTasks", pageSize=1))["result"]
    his = (await _as(rpc, "bob", "ListTasks", pageToken=page["nextPageToken"]))["result"]
    assert (his["tasks"], his["nextPageToken"]) == ([], "")


async def test_two_users_may_name_the_same_context_and_share_nothing(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    await _two_users(a2a, "by_username")
    tasks = {
        user: await _sent(rpc, user, load_message(**WAITS) | {"contextId": "ours"})
        for user in ("ann", "bob")
    }
    assert tasks["ann"]["contextId"] == tasks["bob"]["contextId"] == "ours"
    for user, task in tasks.items():
        listed = (await _as(rpc, user, "ListTasks", contextId="ours"))["result"]["tasks"]
        assert [each["id"] for each in listed] == [task["id"]]
        assert len(task["history"]) == 1


async def remembers(turn: Turn) -> None:
    heard = [said.text for said in await turn.context.messages()]
    before = turn.context.state.setdefault("before", "nothing")
    turn.context.state["before"] = turn.text
    await turn.complete(f"{before}; {' '.join(heard)}")


async def test_an_agent_remembers_of_a_context_only_what_the_same_user_said(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    await _two_users(a2a, "by_username")
    said = {}
    with registry.registered(make_agent(remembers, slug="remembers")):
        for user in ("ann", "bob", "ann"):
            params = {"message": message(f"from-{user}", contextId="ours")}
            answer = await rpc.call("SendMessage", params, agent="remembers", X_User=user)
            status = answer["result"]["task"]["status"]
            said[user] = status["message"]["parts"][0]["text"]
    assert said["bob"] == "nothing; from-bob"
    assert said["ann"].startswith("from-ann; ")
    assert "bob" not in said["ann"]


async def test_a_task_of_the_same_user_with_another_agent_is_not_found(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    await _two_users(a2a, "by_username")
    task = await _sent(rpc, "ann", load_message(**WAITS))
    answer = await rpc.call("GetTask", {"id": task["id"]}, agent="echo", X_User="ann")
    assert error_of(answer) == NOT_FOUND


async def test_a_user_streams_what_is_theirs(a2a: ChangeSettings, rpc: JsonRpcClient) -> None:
    await _two_users(a2a, "by_username")
    request = envelope("SendStreamingMessage", {"message": load_message()})
    events = await events_of(await rpc.post(request, X_User="ann"))
    assert "task" in events[0]["result"]
    last = events[-1]["result"]["statusUpdate"]
    assert last["status"]["state"] == "TASK_STATE_COMPLETED"


def by_group(request: Any) -> Any:
    """Return a row that is no user, and has the same number as one."""
    return Group.objects.filter(name=request.headers.get("X-Group", "")).first()


async def test_a_row_that_is_no_user_is_not_taken_for_the_user_of_its_number(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    authentication = [f"{WHO}.by_username", f"{__name__}.by_group"]
    a2a(ANONYMOUS="refuse", AUTHENTICATION=authentication)
    ann = await sync_to_async(User.objects.create)(pk=7, username="ann")
    await sync_to_async(Group.objects.create)(pk=ann.pk, name="staff")
    task = await _sent(rpc, "ann", load_message(**WAITS))
    answer = await rpc.call("GetTask", {"id": task["id"]}, X_Group="staff")
    assert error_of(answer) == NOT_FOUND
    own = await rpc.call("SendMessage", {"message": message()}, X_Group="staff")
    assert "task" in own["result"]


TOKEN = "the-token-that-nobody-may-read"
UNFIT = {
    "an object": Key(TOKEN),
    "a flag": True,
    "a number": 7,
    "a token": TOKEN,
    "claims": {"sub": "ann", "token": TOKEN},
    "a row that is not saved": User(username=TOKEN),
    "an empty name": Empty(""),
}


def by_unfit(request: HttpRequest) -> Any:
    return UNFIT[request.headers["X-Kind"]]


@pytest.mark.parametrize("kind", UNFIT)
async def test_a_caller_that_cannot_own_tasks_is_refused_and_logged_without_its_value(
    a2a: ChangeSettings, rpc: JsonRpcClient, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    a2a(ANONYMOUS="share", AUTHENTICATION=[f"{__name__}.by_unfit"])
    answer = await rpc.call("ListTasks", {}, X_Kind=kind)
    assert error_of(answer) == (-32603, "INTERNAL")
    assert f"{type(UNFIT[kind]).__name__} cannot own tasks" in caplog.text
    assert "CallerName" in caplog.text and "OWNER_RESOLVER" in caplog.text
    assert TOKEN not in caplog.text and TOKEN not in str(answer)


def by_claims(request: HttpRequest) -> dict[str, str]:
    """Return what a token says, which is another for each token of the same user."""
    return {"sub": request.headers["X-User"], "jti": str(uuid4())}


async def subject_of(claims: dict[str, str]) -> str:
    return claims["sub"]


async def test_the_project_says_what_of_an_identity_owns_the_tasks(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(
        ANONYMOUS="refuse",
        AUTHENTICATION=[f"{__name__}.by_claims"],
        OWNER_RESOLVER=f"{__name__}.subject_of",
    )
    task = await _sent(rpc, "ann", load_message(**WAITS))
    assert (await _as(rpc, "ann", "GetTask", id=task["id"]))["result"] == task
    assert error_of(await _as(rpc, "bob", "GetTask", id=task["id"])) == NOT_FOUND
    # By its name it is the same caller as one that is known by that name.
    a2a(ANONYMOUS="refuse", AUTHENTICATION=[f"{WHO}.by_name"], OWNER_RESOLVER="")
    assert (await _as(rpc, "ann", "GetTask", id=task["id"]))["result"] == task


def staff_of(claims: dict[str, str]) -> User:
    return User.objects.get_or_create(username=claims["sub"])[0]


async def test_a_task_is_a_users_if_the_project_makes_a_user_of_an_identity(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(
        ANONYMOUS="refuse",
        AUTHENTICATION=[f"{__name__}.by_claims"],
        OWNER_RESOLVER=f"{__name__}.staff_of",
    )
    await _sent(rpc, "ann", load_message(**WAITS))
    user = await User.objects.aget(username="ann")
    assert (await models.Task.objects.aget()).user_id == user.pk
