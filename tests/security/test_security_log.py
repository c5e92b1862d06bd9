"""The log for security: each refusal and each change of a right is in it, and no flood fills it."""

import ast
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.management import call_command
from django.http import HttpRequest
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from a2a_app import security
from a2a_app.agents import registry
from a2a_app.agents.registry import make_agent
from a2a_app.authentication import tokens
from a2a_app.models import ApiKey
from a2a_app.push import targets
from a2a_app.security import SecurityEvent, record
from tests.access.test_access import opened, waits
from tests.clients.json_rpc import JsonRpcClient
from tests.conftest import ChangeSettings
from tests.servers import ROOT
from tests.tasks import begin
from tests.test_authentication import issue
from tests.wire import load_message

PAGE = (ROOT / "docs" / "reference" / "security-events.md").read_text()
ADDRESS = "127.0.0.1"


class Recorded(list[logging.LogRecord]):
    """The records of the log for security."""

    def fields(self, event: str) -> dict[str, Any]:
        """Return the fields of the only record of an event."""
        [record] = [each for each in self if vars(each)["event"] == event]
        return vars(record)


@pytest.fixture(autouse=True)
def log() -> Iterator[Recorded]:
    security.forget_counts()
    records = Recorded()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    handler = Handler()
    security.logger.addHandler(handler)
    before, security.logger.level = security.logger.level, logging.INFO
    yield records
    security.logger.removeHandler(handler)
    security.logger.setLevel(before)


@pytest.fixture
async def keys(a2a: ChangeSettings, rpc: JsonRpcClient) -> AsyncIterator[dict[str, str]]:
    """Let callers in by their keys: Ann's, one of hers that is for reading, and an old one."""
    a2a(ANONYMOUS="refuse", AUTHENTICATION=["a2a_app.authentication.ApiKeyAuth"], ACCESS_SECONDS=60)
    past = timezone.now() - timedelta(days=1)
    made = {
        "all": await sync_to_async(issue)(),
        "read": await sync_to_async(issue)(scopes="read"),
        "old": await sync_to_async(issue)(expires_at=past),
    }
    yield {name: f"Bearer {key}" for name, key in made.items()}


async def test_refusals_are_logged_with_who_was_refused(
    keys: dict[str, str], rpc: JsonRpcClient, a2a: ChangeSettings, log: Recorded
) -> None:
    log.clear()
    sent = {"message": load_message()}
    await rpc.call("SendMessage", sent)
    refused = log.fields("sign_in_refused")
    assert (refused["outcome"], refused["address"], refused["agent"]) == (
        "refused", ADDRESS, "load",
    )  # fmt: skip  # as one tuple
    await rpc.call("SendMessage", sent, Authorization=keys["read"])
    ann = f"user:{(await User.objects.aget()).pk}"
    row = await ApiKey.objects.aget(scopes="read")
    denied = log.fields("permission_refused")
    assert (denied["owner"], denied["key"], denied["address"]) == (ann, str(row.pk), ADDRESS)
    assert "'send'" in denied["reason"]
    log.clear()
    await rpc.call("SendMessage", sent, Authorization=keys["old"])
    expired = log.fields("key_refused")
    assert (expired["owner"], expired["reason"]) == (ann, "It has expired.")
    assert (expired["prefix"], expired["address"]) == (keys["old"][11:27], ADDRESS)
    a2a(MAX_BODY_BYTES=10)
    await rpc.call("SendMessage", sent, Authorization=keys["all"])
    assert "larger than 10 bytes" in log.fields("limit_reached")["reason"]


@pytest.mark.slow
async def test_a_stream_that_ends_with_its_callers_access_is_logged(
    keys: dict[str, str], rpc: JsonRpcClient, log: Recorded
) -> None:
    with registry.registered(make_agent(waits, slug="waits")):
        stream = await opened(JsonRpcClient("waits"), keys["all"])
        log.clear()
        row = await ApiKey.objects.filter(scopes="", expires_at__gt=timezone.now()).afirst()
        assert row is not None
        row.revoked_at = timezone.now()
        await row.asave()
        await stream.last_event()
    assert log.fields("key_revoked")["key"] == str(row.pk)
    ended = log.fields("access_ended")
    assert (ended["key"], ended["agent"]) == (str(row.pk), "waits")


async def test_a_webhook_that_is_refused_is_logged_without_its_path(
    rpc: JsonRpcClient, log: Recorded
) -> None:
    task = await rpc.task()
    webhook = {"taskId": task["id"], "url": "https://127.0.0.1/planted"}
    await rpc.call("CreateTaskPushNotificationConfig", webhook)
    refused = log.fields("webhook_refused")
    assert (refused["host"], refused["agent"]) == ("127.0.0.1", "load")
    assert "not public" in refused["reason"]
    assert targets.FORBIDDEN not in refused["reason"]
    assert "planted" not in str(refused)


async def test_what_staff_does_is_logged_with_its_name(runtime: None, log: Recorded) -> None:
    await sync_to_async(_cancel_a_task_and_handle_a_key)(log)


def _cancel_a_task_and_handle_a_key(log: Recorded) -> None:
    boss = User.objects.create(username="boss", is_staff=True, is_superuser=True)
    browser, actor = Browser(), f"user:{boss.pk}"
    browser.force_login(boss)
    task = begin().head
    chosen = {"action": "cancel_tasks", "confirmed": "1", "_selected_action": [str(task.task_id)]}
    browser.post(reverse("admin:a2a_app_task_changelist"), chosen)
    canceled = log.fields("task_canceled")
    assert (canceled["task"], canceled["actor"]) == (str(task.task_id), actor)
    never = {"expires_at_0": "", "expires_at_1": ""}
    form = {"name": "nightly", "user": boss.pk, "scopes": "read", **never}
    browser.post(reverse("admin:a2a_app_apikey_add"), form)
    row = ApiKey.objects.get()
    page = reverse("admin:a2a_app_apikey_change", args=[row.pk])
    browser.post(page, {**form, "scopes": ""})
    listed = reverse("admin:a2a_app_apikey_changelist")
    browser.post(listed, {"action": "revoke", "confirmed": "1", "_selected_action": [row.pk]})
    browser.post(reverse("admin:a2a_app_apikey_delete", args=[row.pk]), {"post": "yes"})
    events = [vars(each) for each in log[1:]]
    assert [each["event"] for each in events] == [
        "key_issued", "key_changed", "key_revoked", "key_deleted",
    ]  # fmt: skip  # as one list
    for event in events:
        assert (event["actor"], event["prefix"], event["outcome"]) == (actor, row.prefix, "done")
    assert [each["scopes"] for each in events[:2]] == ["read", ""]
    [other] = ApiKey.objects.bulk_create([ApiKey(user=boss, name="other", prefix="0" * 16)])
    given = {"action": "delete_selected", "post": "yes", "_selected_action": [other.pk]}
    browser.post(listed, given)
    last = vars(log[-1])
    assert (last["event"], last["actor"], last["prefix"]) == ("key_deleted", actor, other.prefix)


@pytest.mark.django_db(transaction=True)
def test_the_command_for_keys_is_heard_of_and_so_is_code(log: Recorded) -> None:
    issue()
    old = ApiKey.objects.get()
    call_command("a2a_key", "rotate", old.prefix)
    call_command("a2a_key", "revoke", old.prefix)
    assert log.fields("key_issued")["actor"] == ""
    rotated = log.fields("key_rotated")
    assert (rotated["replaces"], rotated["actor"]) == (old.prefix, "manage.py a2a_key")
    assert log.fields("key_changed")["expires_at"] <= rotated["expires_at"]
    assert log.fields("key_revoked")["actor"] == "manage.py a2a_key"
    ApiKey.objects.get(pk=old.pk).save()
    assert vars(log[-1])["event"] == "key_changed"


@pytest.mark.parametrize(
    ("error", "is_logged"),
    [
        (jwt.ExpiredSignatureError("planted"), True),
        (jwt.InvalidSignatureError("planted"), True),
        (jwt.DecodeError("planted"), False),
        (jwt.InvalidIssuerError("planted"), False),
    ],
)
def test_a_token_of_the_provider_that_is_refused_is_logged_by_the_kind_of_its_fault(
    error: Exception, is_logged: bool, log: Recorded
) -> None:
    tokens._record_refusal(error, HttpRequest())
    assert [vars(each)["reason"] for each in log] == [type(error).__name__] * is_logged


def test_a_flood_adds_few_lines_which_say_how_many_there_were(
    log: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5_000):
        record(SecurityEvent.SIGN_IN_REFUSED, address="1.2.3.4")
    record(SecurityEvent.SIGN_IN_REFUSED, address="5.6.7.8")
    counts = [vars(each)["count"] for each in log]
    assert counts == [*range(1, 9), 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 1]
    for number in range(3_000):  # as many addresses, each with one
        record(SecurityEvent.SIGN_IN_REFUSED, address=f"10.0.{number >> 8}.{number & 255}")
    assert len(log) < 18 + 1_000 + 20
    log.clear()
    for _ in range(100):
        record(SecurityEvent.KEY_ISSUED)
    assert len(log) == 100
    log.clear()
    later = time.monotonic() + security.MINUTE
    monkeypatch.setattr(security, "time", SimpleNamespace(monotonic=lambda: later))
    record(SecurityEvent.SIGN_IN_REFUSED, address="1.2.3.4")
    assert [vars(each)["count"] for each in log] == [1]


def test_no_value_makes_up_a_line_and_none_is_long(log: Recorded) -> None:
    record(SecurityEvent.SIGN_IN_REFUSED, reason="a\nSecurity event \u2028\x1b[31m" + "x" * 1_000)
    text = log[0].getMessage()
    assert text.isascii() and text.isprintable() and len(text) < 500
    said = json.loads(text.partition(": ")[2])
    assert said["reason"] == log.fields("sign_in_refused")["reason"]


@pytest.mark.slow
def test_the_table_has_each_event_that_the_code_logs_and_no_other() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (refused|done) \|", PAGE, re.MULTILINE))
    assert rows == {
        event.value: "done" if event in security._DONE else "refused" for event in SecurityEvent
    }
    used = {
        node.attr
        for path in (ROOT / "a2a_app").rglob("*.py")
        if path.name != "security.py" or path.parent.name != "a2a_app"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if node.value.id == "SecurityEvent"
    }
    assert used == {event.name for event in SecurityEvent}
