"""Limits on the wire: each refuses with an error that names it, in every binding and version."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission, User
from django.core.cache.backends.locmem import LocMemCache
from django.http.response import HttpResponseBase
from django.test import Client as Browser
from django.urls import reverse

from a2a_app import database, models, security
from a2a_app.checks.access import check_cache_is_shared
from a2a_app.store.budgets import add_spending
from a2a_app.store.token_usage import Used
from tests import wire_v03
from tests.clients.http_json import HttpJsonClient, json_of, without_version
from tests.clients.json_rpc import JsonRpcClient, body_of
from tests.conftest import ChangeSettings
from tests.wire import HEADERS, envelope, load_message

CODE, REASON = -32053, "RESOURCE_EXHAUSTED"
VERSION = {name.replace("-", "_"): value for name, value in HEADERS.items()}
HANG: dict[str, Any] = {"configuration": {"returnImmediately": True}}
# Each limit, the settings with which the third message of an owner is too many, the HTTP status,
# and whether to wait helps.
LIMITS = {
    "WAITING_TURNS_PER_OWNER": ({"WAITING_TURNS_PER_OWNER": 1, "MAX_RUNS": 1}, 429, True),
    "STORED_BYTES_PER_OWNER": ({"STORED_BYTES_PER_OWNER": 1500}, 413, False),
    "REQUESTS_PER_MINUTE": ({"REQUESTS_PER_MINUTE": 2}, 429, True),
}


@pytest.fixture(params=LIMITS)
async def limit(
    request: pytest.FixtureRequest, a2a: ChangeSettings, rpc: JsonRpcClient, one_minute: None
) -> AsyncIterator[str]:
    """Set a limit, and let a caller come near it."""
    settings, _, _ = LIMITS[request.param]
    a2a(**settings)
    for _ in range(2):
        await rpc.result("SendMessage", message=load_message(end="hang"), **HANG)
    yield request.param


def check(response: HttpResponseBase, error: Any, details: Any, limit: str) -> None:
    _, status, may_wait = LIMITS[limit]
    assert response.status_code == status
    assert response.has_header("Retry-After") == may_wait
    assert limit in (error["message"], details[0]["metadata"]["limit"])
    kinds = [each["@type"].rpartition(".")[2] for each in details]
    assert kinds == ["ErrorInfo", "QuotaFailure", *(["RetryInfo"] if may_wait else [])]
    assert details[0]["reason"] == REASON
    assert details[1]["violations"] == [{"subject": limit, "description": error["message"]}]


async def test_json_rpc_names_the_limit_and_when_to_try_again(
    rpc: JsonRpcClient, limit: str
) -> None:
    sent = {"message": load_message(end="hang"), **HANG}
    response = await rpc.post(envelope("SendMessage", sent), **VERSION)
    error = body_of(response)["error"]
    assert error["code"] == CODE
    check(response, error, error["data"], limit)


async def test_http_json_names_the_limit_and_when_to_try_again(limit: str) -> None:
    client = HttpJsonClient()
    response = await client.post("/message:send", {"message": load_message(end="hang"), **HANG})
    error = json_of(response)["error"]
    assert (error["code"], error["status"]) == (LIMITS[limit][1], REASON)
    check(response, error, error["details"], limit)


async def test_version_0_3_says_the_same(rpc: JsonRpcClient, limit: str) -> None:
    sent = {"message": wire_v03.message(), "configuration": {"blocking": False}}
    response = await rpc.post(envelope("message/send", sent))
    error = body_of(response)["error"]
    assert error["code"] == CODE
    check(response, error, error["data"], limit)
    plain = {"message": wire_v03.plain_message()}
    response = await without_version().post("/v1/message:send", plain)
    check(response, json_of(response), json_of(response)["data"], limit)


async def test_nothing_is_left_of_a_message_that_was_refused(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(WAITING_TURNS_PER_OWNER=1, MAX_RUNS=1)
    for _ in range(2):
        task = await rpc.result("SendMessage", message=load_message(end="hang"), **HANG)
    sent = {"message": load_message(), **HANG}
    before = await database.read(_rows)
    refused = await rpc.call("SendMessage", sent, Idempotency_Key="one")
    assert refused["error"]["code"] == CODE
    assert await database.read(_rows) == before
    await rpc.result("CancelTask", id=task["task"]["id"])
    taken = await rpc.call("SendMessage", sent, Idempotency_Key="one")
    assert "task" in taken["result"]


def _rows() -> list[int]:
    kinds = (models.Task, models.Context, models.Message, models.Run, models.IdempotencyKey)
    return [kind.objects.count() for kind in kinds]


async def test_what_is_not_known_is_counted_by_its_address(
    a2a: ChangeSettings, rpc: JsonRpcClient, one_minute: None
) -> None:
    a2a(ANONYMOUS="refuse", REQUESTS_PER_MINUTE=2)
    sent = envelope("SendMessage", {"message": load_message()})
    statuses = [(await rpc.post(sent, **VERSION)).status_code for _ in range(3)]
    assert statuses == [401, 401, 429]


async def test_without_a_cache_that_works_nobody_is_refused(
    a2a: ChangeSettings, rpc: JsonRpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("away")

    monkeypatch.setattr(LocMemCache, "add", fail)
    a2a(REQUESTS_PER_MINUTE=1)
    for _ in range(2):
        await rpc.result("SendMessage", message=load_message(), **HANG)


def test_a_cache_that_processes_do_not_share_is_found(a2a: ChangeSettings) -> None:
    assert check_cache_is_shared() == []
    a2a(REQUESTS_PER_MINUTE=1)
    [found] = check_cache_is_shared()
    assert found.id == "a2a.W018"


async def test_the_admin_lists_who_was_refused_and_what_it_has(
    a2a: ChangeSettings, rpc: JsonRpcClient, caplog: pytest.LogCaptureFixture
) -> None:
    a2a(STORED_BYTES_PER_OWNER=700)
    security.forget_counts()
    await rpc.result("SendMessage", message=load_message(), **HANG)
    for _ in range(2):
        await rpc.call("SendMessage", {"message": load_message(), **HANG})
    said = [vars(each).get("limit") for each in caplog.records if vars(each).get("event")]
    # The second message may find room: it depends on what the first turn has said by then.
    assert set(said) == {"STORED_BYTES_PER_OWNER"}
    pages = await sync_to_async(_pages)()
    for page in pages:
        assert "STORED_BYTES_PER_OWNER" in page and "nobody" in page
    assert "waiting" in pages[1]


def _pages() -> list[str]:
    staff = User.objects.create(username="staff", is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename="view_storedbytes"))
    browser = Browser()
    browser.force_login(staff)
    [row] = models.StoredBytes.objects.exclude(refused_at=None)
    urls = [
        reverse("admin:a2a_app_storedbytes_changelist"),
        reverse("admin:a2a_app_storedbytes_change", args=[row.pk]),
    ]
    return [browser.get(url).content.decode() for url in urls]


@pytest.mark.parametrize("is_json_rpc", [True, False])
async def test_a_budget_that_is_used_up_says_when_the_next_one_begins(
    a2a: ChangeSettings, rpc: JsonRpcClient, is_json_rpc: bool
) -> None:
    a2a(BUDGETS=[{"per": "agent", "agent": "load", "period": "month", "cost": "0.50"}])
    sent = {"message": load_message()}
    await rpc.result("SendMessage", message=sent["message"])
    await database.run(add_spending, "name:bob", "load", Used.checked("m", 1, 1, "0.5", "USD"))
    if is_json_rpc:
        response = await rpc.post(envelope("SendMessage", sent), **VERSION)
        error = body_of(response)["error"]
        details = error["data"]
    else:
        response = await HttpJsonClient().post("/message:send", sent)
        error = json_of(response)["error"]
        details = error["details"]
    assert response.status_code == 429
    [info, quota, retry] = details
    assert info["metadata"]["limit"] == "BUDGETS.agent.load.cost.month"
    assert quota["violations"][0]["subject"] == info["metadata"]["limit"]
    assert info["metadata"]["resetAt"] in error["message"]
    assert retry["retryDelay"] == f"{response['Retry-After']}s"
    assert response["Retry-After"].isdecimal()
    assert 0 < int(response["Retry-After"]) <= 31 * 86400
    pages = await sync_to_async(_pages)()
    assert all("BUDGETS.agent.load.cost.month" in page for page in pages)
