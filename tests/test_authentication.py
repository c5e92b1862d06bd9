"""API keys: which of them let their user in, and what it costs to use one."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from a2a_app import authentication
from a2a_app.authentication.api_keys import PRECISION, grants_of
from a2a_app.models import ApiKey
from tests.clients.json_rpc import JsonRpcClient, body_of, error_of
from tests.conftest import ChangeSettings
from tests.outages import nobody_else_writes
from tests.wire import load_message

PATHS = ["a2a_app.authentication.ApiKeyAuth", "tests.bindings.authenticators.Bearer"]
# Less than a writer waits for another one.
SECONDS = 5
UNKNOWN = (-32050, "UNAUTHENTICATED")


def issue(username: str = "ann", **row: Any) -> str:
    user, _ = User.objects.get_or_create(username=username)
    made = ApiKey(user=user, name="test", **row)
    key = made.issue()
    made.save()
    return key


@pytest.fixture
def keys_only(a2a: ChangeSettings) -> None:
    a2a(ANONYMOUS="refuse", AUTHENTICATION=PATHS[:1])


async def ask(rpc: JsonRpcClient, header: str) -> dict[str, Any]:
    return await rpc.call("ListTasks", {}, Authorization=header)


async def test_a_key_lets_its_user_in_and_nobody_sees_the_tasks_of_others(
    keys_only: None, rpc: JsonRpcClient
) -> None:
    ann, bob = await sync_to_async(issue)("ann"), await sync_to_async(issue)("bob")
    second = await sync_to_async(issue)("ann")
    sent = await rpc.call("SendMessage", {"message": load_message()}, Authorization=f"Bearer {ann}")
    assert sent["result"]["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
    sizes = [(await ask(rpc, f"bearer {key}"))["result"]["totalSize"] for key in (ann, second, bob)]
    assert sizes == [1, 1, 0]


@pytest.mark.parametrize(
    "change",
    [
        {"expires_at": timezone.now() - timedelta(seconds=1)},
        {"revoked_at": timezone.now()},
        {"digest": "0" * 64},
    ],
)
async def test_a_key_that_is_not_good_any_more_is_refused(
    keys_only: None, rpc: JsonRpcClient, change: dict[str, Any]
) -> None:
    key = await sync_to_async(issue)()
    assert "result" in await ask(rpc, f"Bearer {key}")
    await ApiKey.objects.aupdate(**change)
    assert error_of(await ask(rpc, f"Bearer {key}")) == UNKNOWN


async def test_a_key_that_expires_later_is_good_until_then(
    keys_only: None, rpc: JsonRpcClient
) -> None:
    key = await sync_to_async(issue)(expires_at=timezone.now() + timedelta(hours=1))
    assert "result" in await ask(rpc, f"Bearer {key}")


async def test_the_key_of_an_inactive_user_is_refused(keys_only: None, rpc: JsonRpcClient) -> None:
    key = await sync_to_async(issue)()
    await User.objects.aupdate(is_active=False)
    assert error_of(await ask(rpc, f"Bearer {key}")) == UNKNOWN


async def test_a_header_without_a_valid_key_is_refused(keys_only: None, rpc: JsonRpcClient) -> None:
    key = await sync_to_async(issue)()
    other = key[:-1] + ("A" if key[-1] != "A" else "B")
    bad = ("", key, f"Basic {key}", "Bearer", "Bearer \u00e9", f"Bearer {other}", f"Bearer {key}x")
    for header in bad:
        assert error_of(await ask(rpc, header)) == UNKNOWN, header


async def test_a_key_whose_use_cannot_be_recorded_lets_its_user_read(
    keys_only: None, rpc: JsonRpcClient
) -> None:
    key = await sync_to_async(issue)()
    with nobody_else_writes(ApiKey):
        async with asyncio.timeout(SECONDS):
            assert "result" in await ask(rpc, f"Bearer {key}")
        assert (await ApiKey.objects.aget()).last_used_at is None


async def test_a_bearer_that_is_no_key_is_left_to_the_next_authenticator(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(ANONYMOUS="refuse", AUTHENTICATION=PATHS)
    await sync_to_async(issue)("ann")
    assert "result" in await ask(rpc, "Bearer open-sesame")
    card = body_of(await rpc.http.get("/a2a/load/.well-known/agent-card.json"))
    assert list(card["securitySchemes"]) == ["ApiKeyAuth", "Bearer"]


@pytest.mark.django_db
def test_the_key_is_stored_nowhere() -> None:
    key = issue()
    row = ApiKey.objects.get()
    assert row.key == ""
    secret = key.rpartition(f"a2a_{row.prefix}_")[2]
    assert len(secret) == 49
    stored = " ".join(str(value) for value in ApiKey.objects.values().get().values())
    assert secret not in stored and secret not in str(row)


@pytest.mark.django_db
def test_two_keys_have_nothing_in_common() -> None:
    first, second = issue(), issue()
    prefixes = [key.split("_")[1] for key in (first, second)]
    assert prefixes[0] != prefixes[1]
    assert authentication.user_of(first.replace(prefixes[0], prefixes[1])) is None


@pytest.mark.django_db
def test_a_text_that_only_looks_like_a_key_costs_no_query() -> None:
    key = issue()
    for index in (-1, -10, 10):
        letter = "0" if key[index] != "0" else "1"
        with CaptureQueriesContext(connection) as queries:
            assert authentication.user_of(key[:index] + letter + key[index:][1:]) is None
        assert len(queries) == 0


@pytest.mark.django_db
def test_a_key_expires_after_the_days_of_the_settings(a2a: ChangeSettings) -> None:
    a2a(API_KEY_DAYS=30)
    issue()
    days = timezone.now() + timedelta(days=29), timezone.now() + timedelta(days=31)
    assert ApiKey.objects.filter(expires_at__range=days).exists()
    a2a(API_KEY_DAYS=None)
    issue()
    assert ApiKey.objects.filter(expires_at=None).exists()


@pytest.mark.django_db
def test_the_last_use_is_known_to_the_minute_and_written_once_in_it() -> None:
    key = issue()
    with CaptureQueriesContext(connection) as queries:
        for _ in range(5):
            assert authentication.user_of(key) is not None
    written = [query for query in queries if query["sql"].startswith("UPDATE")]
    assert len(written) == 1
    assert len(queries) == 6
    earlier = timezone.now() - PRECISION
    ApiKey.objects.update(last_used_at=earlier)
    authentication.user_of(key)
    assert ApiKey.objects.get().last_used_at > earlier  # type: ignore[operator]  # it has been used


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("days", "used", "is_warned"),
    [(3, "never", True), (3, "yesterday", True), (3, "today", False), (30, "never", False)],
)
def test_once_a_day_it_is_logged_that_a_key_in_use_expires_soon(
    caplog: pytest.LogCaptureFixture, days: int, used: str, is_warned: bool
) -> None:
    now = timezone.now()
    key = issue(expires_at=now + timedelta(days=days))
    midnight = now.replace(hour=0, minute=0, second=0)
    times = {"never": None, "yesterday": midnight - PRECISION, "today": midnight}
    ApiKey.objects.update(last_used_at=times[used])
    for _ in range(2):
        assert authentication.user_of(key) is not None
    row = ApiKey.objects.get()
    line = f"The API key {row.prefix} is in use and expires at {row.expires_at}."
    assert [each.getMessage() for each in caplog.records] == [line] * is_warned
    assert key not in caplog.text


@pytest.mark.django_db
def test_many_keys_are_looked_at_again_by_one_query() -> None:
    names = [f"user {number}" for number in range(20)]
    for name in names:
        issue(name)
    User.objects.filter(username=names[0]).update(is_active=False)
    ApiKey.objects.filter(user__username=names[1]).update(revoked_at=timezone.now())
    asked = [str(row.pk) for row in ApiKey.objects.all()]
    with CaptureQueriesContext(connection) as queries:
        found = grants_of(asked)
    assert len(queries) == 1
    assert {grant.identity.username for grant in found.values()} == set(names[2:])
