"""HTTP+JSON (section 11.5): parameters in paths, queries and bodies."""

import pytest

from a2a_app.bindings.routes import TENANT_ROUTES, Route
from tests.bindings.test_rest import path_of, shown
from tests.clients.http_json import HttpJsonClient, bad_fields_of
from tests.wire import UNKNOWN_TASK, load_message, message

COMPLETED = "TASK_STATE_COMPLETED"
WAITS = {"end": "input-required"}


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
    task = await rest.task(**WAITS)
    path = f"/tasks/{task['id']}:cancel"
    assert bad_fields_of(await rest.post(path, {"id": UNKNOWN_TASK})) == ["id"]
    canceled = await rest.result("POST", path, {"id": task["id"]})
    assert canceled["id"] == task["id"]


async def test_a_query_is_read_by_the_kind_of_each_field(rest: HttpJsonClient) -> None:
    first, second = await rest.task(chunks=2), await rest.task(**WAITS)
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


async def test_a_filter_may_have_the_name_that_the_sdk_of_go_has_for_it(
    rest: HttpJsonClient,
) -> None:
    await rest.task()
    for year, count in ((2000, 1), (2100, 0)):
        listed = await rest.result("GET", f"/tasks?lastUpdatedAfter={year}-01-01T00:00:00Z")
        assert listed["totalSize"] == count


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("lastUpdatedAfter=yesterday", "statusTimestampAfter"),
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
