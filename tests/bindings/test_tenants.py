"""Tenants: the project's resolver says what a name means, and tenants are kept apart (4.4.6)."""

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group

from a2a_app import models
from a2a_app.agents import AgentSkill, Turn, registry
from a2a_app.agents.registry import make_agent
from a2a_app.operations import OPERATIONS
from tests.bindings import resolvers, users
from tests.bindings.mangling import PARAMS
from tests.clients.http_json import HttpJsonClient, bad_fields_of
from tests.clients.json_rpc import JsonRpcClient, bad_fields, body_of, error_of, events_of
from tests.conftest import ChangeSettings
from tests.wire import HEADERS, WEBHOOK, calls_about, envelope, load_message, message

OURS = resolvers.__name__
WHO = users.__name__
NOT_FOUND = (-32001, "TASK_NOT_FOUND")
INTERNAL = (-32603, "INTERNAL")
CARD = ".well-known/agent-card.json"
WAITS = {"end": "input-required"}


@pytest.fixture
def tenants(a2a: ChangeSettings) -> None:
    a2a(TENANT_RESOLVER=f"{OURS}.by_name")


async def task_of(rpc: JsonRpcClient, tenant: str, **more: Any) -> dict[str, Any]:
    sent = await rpc.result("SendMessage", tenant=tenant, message=load_message(**WAITS) | more)
    task: dict[str, Any] = sent["task"]
    return task


@pytest.mark.parametrize("other", ["globex", ""])
async def test_a_task_of_another_tenant_is_not_found_by_any_operation(
    tenants: None, rpc: JsonRpcClient, other: str
) -> None:
    task = await task_of(rpc, "acme")
    for method, params in calls_about(task["id"]):
        answer = await rpc.call(method, {**params, "tenant": other})
        assert error_of(answer) == NOT_FOUND, method
    resumed = {"id": task["id"], "tenant": other}
    answer = await rpc.call("SubscribeToTask", resumed, Last_Event_ID="1")
    assert error_of(answer) == NOT_FOUND
    assert await rpc.result("GetTask", id=task["id"], tenant="acme") == task
    assert await rpc.result("GetTask", id=task["id"], tenant="acme-inc") == task


async def test_a_tenant_lists_its_own_tasks_and_contexts_only(
    tenants: None, rpc: JsonRpcClient
) -> None:
    tasks = {tenant: await task_of(rpc, tenant, contextId="ours") for tenant in ("acme", "")}
    for tenant, task in tasks.items():
        for filters in ({}, {"contextId": "ours"}):
            page = await rpc.result("ListTasks", tenant=tenant, **filters)
            assert [each["id"] for each in page["tasks"]] == [task["id"]]
    assert (await rpc.result("ListTasks", tenant="globex"))["totalSize"] == 0


async def test_two_tenants_may_use_the_same_idempotency_key(
    tenants: None, rpc: JsonRpcClient
) -> None:
    said = message("hello")

    async def sent(tenant: str) -> str:
        params = {"message": said, "tenant": tenant}
        answer = await rpc.call("SendMessage", params, agent="echo", Idempotency_Key="once")
        return str(answer["result"]["task"]["id"])

    first = {tenant: await sent(tenant) for tenant in ("acme", "globex", "")}
    assert len(set(first.values())) == 3
    assert {tenant: await sent(tenant) for tenant in first} == first


async def test_a_tenant_is_named_in_the_path_of_http_json_or_in_its_parameters(
    tenants: None, rpc: JsonRpcClient
) -> None:
    rest, task = HttpJsonClient(), await task_of(rpc, "acme")
    for path in (f"/acme/tasks/{task['id']}", f"/tasks/{task['id']}?tenant=acme"):
        assert await rest.result("GET", path) == task
    assert (await rest.get(f"/tasks/{task['id']}")).status_code == 404
    assert (await rest.get(f"/globex/tasks/{task['id']}")).status_code == 404
    for body, path in (({"tenant": "acme"}, "/message:send"), ({}, "/acme/message:send")):
        await rest.result("POST", path, {"message": load_message(), **body})
    assert (await rest.result("GET", "/acme/tasks"))["totalSize"] == 3
    assert (await rest.result("GET", "/tasks"))["totalSize"] == 0


async def answers(turn: Turn) -> None:
    """Says its tenant."""
    await turn.complete(f"For {turn.tenant or 'nobody'}.")


async def test_a_stream_goes_to_the_tenants_agent_which_is_told_the_tenant(
    tenants: None, rpc: JsonRpcClient
) -> None:
    said = []
    with registry.registered(make_agent(answers, slug="echo")):
        for tenant in ("acme-echo", "echo"):
            params = {"tenant": tenant, "message": message()}
            request = envelope("SendStreamingMessage", params)
            *_, last = await events_of(await rpc.post(request))
            said.append(last["result"]["statusUpdate"]["status"]["message"]["parts"][0]["text"])
            assert (await rpc.result("ListTasks", tenant=tenant))["totalSize"] == 1
    assert said == ["For acme.", "For nobody."]
    assert (await rpc.result("ListTasks", agent="echo", tenant="acme"))["totalSize"] == 1


async def test_the_agent_that_answers_decides_what_is_supported(
    tenants: None, rpc: JsonRpcClient
) -> None:
    with registry.registered(make_agent(answers, slug="echo", push_notifications=False)):
        params = {"tenant": "echo", "taskId": "x"}
        answer = await rpc.call("ListTaskPushNotificationConfigs", params)
    assert error_of(answer) == (-32003, "PUSH_NOTIFICATION_NOT_SUPPORTED")


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_tenant_that_is_not_known_is_a_bad_field_of_every_operation(
    tenants: None, rpc: JsonRpcClient, operation: str
) -> None:
    answer = await rpc.call(operation, {**PARAMS[operation], "tenant": "unknown"})
    assert bad_fields(answer) == ["tenant"]
    assert not await sync_to_async(models.Context.objects.exists)()


async def test_http_json_names_a_tenant_that_is_not_known_as_a_bad_field(
    tenants: None, rpc: JsonRpcClient
) -> None:
    assert bad_fields_of(await HttpJsonClient().get("/unknown/tasks")) == ["tenant"]
    response = await HttpJsonClient().post("/unknown/message:stream", {"message": load_message()})
    assert bad_fields_of(response) == ["tenant"]


async def test_an_unknown_tenant_and_one_of_other_callers_are_refused_alike(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(TENANT_RESOLVER=f"{OURS}.by_caller", AUTHENTICATION=[f"{WHO}.by_name"])
    assert "result" in await rpc.call("ListTasks", {"tenant": "acme"}, X_User="ann")
    anothers = await rpc.call("ListTasks", {"tenant": "acme"}, X_User="bob")
    unknown = await rpc.call("ListTasks", {"tenant": "unknown"}, X_User="bob")
    assert bad_fields(anothers) == ["tenant"]
    assert anothers == unknown


@pytest.mark.parametrize("tenant", [1, True, ["acme"], "a\x00"])
async def test_a_name_that_can_be_no_tenant_does_not_reach_the_resolver(
    a2a: ChangeSettings, rpc: JsonRpcClient, tenant: Any
) -> None:
    a2a(TENANT_RESOLVER=f"{OURS}.by_group")
    assert bad_fields(await rpc.call("ListTasks", {"tenant": tenant})) == ["tenant"]


@pytest.mark.parametrize(
    "resolver", ["breaks", "returns_nonsense", "returns_an_unfit_key", "returns_no_agent"]
)
async def test_a_resolver_that_fails_is_an_internal_error_and_nothing_is_stored(
    a2a: ChangeSettings, rpc: JsonRpcClient, resolver: str, caplog: pytest.LogCaptureFixture
) -> None:
    a2a(TENANT_RESOLVER=f"{OURS}.{resolver}")
    params = {"tenant": "acme", "message": load_message()}
    for method in ("SendMessage", "SendStreamingMessage"):
        assert error_of(await rpc.call(method, params)) == INTERNAL
    assert (
        await HttpJsonClient().post("/acme/message:send", {"message": load_message()})
    ).status_code == 500
    assert "A request failed" in caplog.text
    for stored in (models.Task, models.Context, models.Message):
        assert not await sync_to_async(stored.objects.exists)()


async def test_a_resolver_may_use_the_database(a2a: ChangeSettings, rpc: JsonRpcClient) -> None:
    a2a(TENANT_RESOLVER=f"{OURS}.by_group")
    await sync_to_async(Group.objects.create)(name="acme")
    task = await task_of(rpc, "acme")
    assert await rpc.result("GetTask", tenant="acme", id=task["id"]) == task


async def test_a_resolver_may_go_by_the_request_and_not_by_what_is_named(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(TENANT_RESOLVER=f"{OURS}.by_header")
    task = (await rpc.call("SendMessage", {"message": load_message()}, X_Part="acme"))["result"]
    asked = {"id": task["task"]["id"]}
    assert "result" in await rpc.call("GetTask", asked, X_Part="acme")
    assert error_of(await rpc.call("GetTask", asked, X_Part="globex")) == NOT_FOUND


async def test_a_resolver_is_told_the_caller_once_a_call_and_never_one_without_credentials(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(TENANT_RESOLVER=f"{OURS}.records", AUTHENTICATION=[f"{WHO}.by_name"], ANONYMOUS="refuse")
    resolvers.asked.clear()
    await rpc.call("ListTasks", {"tenant": "acme"})
    assert resolvers.asked == []
    await rpc.call("ListTasks", {"tenant": "acme"}, X_User="ann")
    await rpc.call("ListTasks", {}, X_User="ann")
    a2a(ANONYMOUS="share")
    await rpc.call("ListTasks", {"tenant": "acme"})
    assert resolvers.asked == [("acme", "ann"), ("", "ann"), ("acme", None)]


async def test_0_3_has_no_tenants_and_the_resolver_gets_none(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(TENANT_RESOLVER=f"{OURS}.records")
    resolvers.asked.clear()
    said = {"role": "user", "messageId": "1", "parts": [{"kind": "text", "text": "{}"}]}
    params = {"message": said, "tenant": "acme"}
    answer = await rpc.call("message/send", params, A2A_Version="0.3")
    task = answer["result"]
    await rpc.call("tasks/get", {"id": task["id"], "tenant": "acme"}, A2A_Version="0.3")
    old = HttpJsonClient(A2A_Version="0.3")
    assert (await old.get(f"/v1/tasks/{task['id']}?tenant=acme")).status_code == 200
    assert resolvers.asked == [("", None)] * 3


async def test_callers_without_credentials_share_within_their_tenant(
    tenants: None, a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(AUTHENTICATION=[f"{WHO}.by_name"])
    task = await task_of(rpc, "acme")
    asked = {"tenant": "acme", "id": task["id"]}
    assert (await rpc.call("GetTask", asked))["result"] == task
    assert error_of(await rpc.call("GetTask", asked, X_User="ann")) == NOT_FOUND


async def test_a_caller_without_credentials_is_unknown_in_a_tenant_too(
    tenants: None, a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(AUTHENTICATION=[f"{WHO}.by_name"])
    more = AgentSkill(id="more", name="More", description="More.", tags=["more"])
    with registry.registered(make_agent(answers, slug="load", extended_skills=[more])):
        refused = await rpc.call("GetExtendedAgentCard", {"tenant": "acme"})
        assert error_of(refused) == (-32050, "UNAUTHENTICATED")
        known = await rpc.call("GetExtendedAgentCard", {"tenant": "acme"}, X_User="ann")
    assert [skill["id"] for skill in known["result"]["skills"]] == ["load", "more"]
    reached = known["result"]["supportedInterfaces"]
    assert {each["tenant"] for each in reached} == {"acme"}


async def test_configurations_name_the_tenant_as_the_client_does(
    tenants: None, rpc: JsonRpcClient
) -> None:
    task = await task_of(rpc, "acme")
    of_task = {"tenant": "acme", "taskId": task["id"]}
    made = await rpc.result("CreateTaskPushNotificationConfig", url=WEBHOOK, **of_task)
    found = await rpc.result("GetTaskPushNotificationConfig", id=made["id"], **of_task)
    listed = await rpc.result("ListTaskPushNotificationConfigs", **of_task)
    assert made["tenant"] == "acme"
    assert made == found
    assert listed["configs"] == [made]
    other = {**of_task, "tenant": "acme-inc", "id": made["id"]}
    assert (await rpc.result("GetTaskPushNotificationConfig", **other))["tenant"] == "acme-inc"


async def test_without_a_resolver_what_is_named_means_nothing(rpc: JsonRpcClient) -> None:
    task = await task_of(rpc, "acme")
    assert await rpc.result("GetTask", id=task["id"], tenant="globex") == task
    config = {"taskId": task["id"], "url": WEBHOOK, "tenant": "acme"}
    assert "tenant" not in await rpc.result("CreateTaskPushNotificationConfig", **config)
    assert (await rpc.http.get(f"/a2a/load/acme/{CARD}")).status_code == 404


async def test_the_card_of_a_tenant_leads_there_by_1_0_and_not_by_0_3(
    tenants: None, rpc: JsonRpcClient
) -> None:
    response = await rpc.http.get(f"/a2a/load/acme/{CARD}")
    card = body_of(response)
    base, acme = "http://testserver/a2a/load", {"tenant": "acme", "protocolVersion": "1.0"}
    assert card["supportedInterfaces"] == [
        {"url": f"{base}/", "protocolBinding": "JSONRPC", **acme},
        {"url": base, "protocolBinding": "HTTP+JSON", **acme},
    ]
    own = body_of(await rpc.http.get(f"/a2a/load/{CARD}", headers=HEADERS))
    assert not any("tenant" in each for each in own["supportedInterfaces"])
    same = ("name", "skills", "capabilities", "defaultInputModes")
    assert [card[member] for member in same] == [own[member] for member in same]
    # The card may depend on anything about the caller, so no cache may share it.
    assert response["Cache-Control"] == "private, max-age=0, must-revalidate"
    assert "Authorization" in response["Vary"]


async def test_the_card_of_a_tenant_is_that_of_the_agent_that_answers(
    tenants: None, rpc: JsonRpcClient
) -> None:
    card = body_of(await rpc.http.get(f"/a2a/load/acme-echo/{CARD}"))
    assert card["name"] == "Echo"
    assert {each["url"].rstrip("/") for each in card["supportedInterfaces"]} == {
        "http://testserver/a2a/load"
    }


async def test_a_name_that_can_be_no_tenant_has_no_card(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(TENANT_RESOLVER=f"{OURS}.by_group")
    assert (await rpc.http.get(f"/a2a/load/%00/{CARD}")).status_code == 404


async def test_a_tenant_that_the_resolver_does_not_give_has_no_card(
    tenants: None, a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    assert (await rpc.http.get(f"/a2a/load/unknown/{CARD}")).status_code == 404
    assert (await rpc.http.get(f"/a2a/nobody/acme/{CARD}")).status_code == 404
    a2a(TENANT_RESOLVER=f"{OURS}.by_caller", AUTHENTICATION=[f"{WHO}.by_name"])
    for user, status in (("ann", 200), ("bob", 404), ("", 404)):
        found = await rpc.http.get(f"/a2a/load/acme/{CARD}", headers={"X-User": user})
        assert found.status_code == status
