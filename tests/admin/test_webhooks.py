"""Webhooks in the admin: their state in words, a test, and no secret."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from a2a_app import models
from a2a_app.agents import Turn
from a2a_app.pages.webhook import origin_of, state_of
from a2a_app.protocol import Task, TaskPushNotificationConfig
from tests.admin.test_tasks import see, text_of
from tests.clients.operations import client_of
from tests.receiver import Receiver, receiving

pytestmark = pytest.mark.usefixtures("runtime")
LIST = reverse("admin:a2a_app_pushnotificationconfig_changelist")
NAMES, NOW = ("test", "resend"), timezone.now()
SECRETS = ("token-of-the-client", "/hook", "of=me")


@pytest.fixture(autouse=True)
def _open_to_loopback(settings: Settings) -> None:
    settings.A2A = {**settings.A2A, "PUSH_HOSTS": ["127.0.0.1"], "PUSH_ALLOW_HTTP": True}


async def agent(turn: Turn) -> None:
    await turn.complete("Done.")


async def webhook_to(receiver: Receiver) -> tuple[Task, models.PushNotificationConfig]:
    """Store a task that has ended with a webhook, to which nothing delivers."""
    hook = TaskPushNotificationConfig(id="hook", url=receiver.url, token=SECRETS[0])
    with client_of(agent) as client:
        task = await client.send(task_push_notification_config=hook)
    return task, await models.PushNotificationConfig.objects.aget()


def page_of(row: models.PushNotificationConfig) -> str:
    return reverse("admin:a2a_app_pushnotificationconfig_change", args=[row.pk])


def pressing(name: str, row: models.PushNotificationConfig) -> Any:
    """Press a button of a webhook's page, and return the page then."""
    path = reverse(f"admin:a2a_app_webhook_{name}", args=[row.pk])
    return lambda someone: someone.post(path, follow=True).content.decode()


async def test_a_test_sends_the_task_as_it_is_now_and_tells_what_came_of_it() -> None:
    async with receiving() as receiver:
        task, row = await webhook_to(receiver)
        page = await see(pressing("test", row))
        [body] = receiver.bodies
        assert body["task"]["id"] == task.id
        assert body["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
    assert "It has accepted a test." in page
    [entry] = [each async for each in LogEntry.objects.filter(object_id=str(row.pk))]
    assert entry.get_change_message() == "Added accepted test “127.0.0.1”."
    again = await models.PushNotificationConfig.objects.aget()
    assert (again.delivered, again.failures) == (row.delivered, 0)


async def test_a_test_that_is_refused_changes_nothing_and_says_why() -> None:
    async with receiving(lambda number: 500) as receiver:
        _, row = await webhook_to(receiver)
        page = await see(pressing("test", row))
    assert "The answer was 500." in page
    again = await models.PushNotificationConfig.objects.aget()
    assert (again.failures, again.failing_since, again.error) == (0, None, "")


async def test_buttons_are_for_those_who_may_change_webhooks() -> None:
    async with receiving() as receiver:
        _, row = await webhook_to(receiver)
        await models.PushNotificationConfig.objects.aupdate(failing_since=timezone.now())

        def visit(someone: Browser) -> list[int]:
            assert "Send a test" not in text_of(page_of(row))(someone)
            paths = [reverse(f"admin:a2a_app_webhook_{name}", args=[row.pk]) for name in NAMES]
            return [someone.post(path).status_code for path in paths]

        assert await see(visit, "view_pushnotificationconfig") == [403, 403]
        assert receiver.bodies == []


async def test_a_webhook_that_fails_is_sent_to_again_from_its_page() -> None:
    async with receiving() as receiver:
        _, row = await webhook_to(receiver)
        await models.PushNotificationConfig.objects.aupdate(
            failing_since=timezone.now(), failures=3, error="The answer was 500.", delivered=1
        )

        def visit(someone: Browser) -> list[str]:
            return [text_of(page_of(row))(someone), pressing("resend", row)(someone)]

        before, after = await see(visit)
    assert "failing since" in before
    assert "The answer was 500." in before
    assert "It is sent to again." in after
    again = await models.PushNotificationConfig.objects.aget()
    assert (again.failures, again.failing_since) == (0, None)
    assert again.due_at is not None


async def test_no_page_shows_more_of_a_url_than_its_host() -> None:
    async with receiving() as receiver:
        task, row = await webhook_to(receiver)
    pages = [LIST, page_of(row), reverse("admin:a2a_app_task_change", args=[task.id])]
    shown = await see(lambda someone: "".join(text_of(page)(someone) for page in pages))
    assert f"http://127.0.0.1:{receiver.port}/…" in shown
    assert [secret for secret in SECRETS if secret in shown] == []


@pytest.mark.parametrize(
    ("values", "tone", "words"),
    [
        ({"delivered": 3}, "good", "has got all events"),
        ({"delivered": 2}, "busy", "1 event is on its way"),
        ({"delivered": 0}, "busy", "3 events are on their way"),
        ({"failing_since": NOW, "due_at": NOW}, "asks", "failing since"),
        ({"failing_since": NOW, "dead_at": NOW}, "bad", "given up since"),
    ],
)
def test_the_state_of_a_webhook_is_said_in_words(
    values: dict[str, Any], tone: str, words: str
) -> None:
    state = state_of(models.PushNotificationConfig(announced=3, **{"delivered": 1, **values}))
    assert state.tone == tone
    assert state.words.startswith(words)


def test_of_a_url_no_name_and_no_password_is_shown() -> None:
    assert origin_of("https://me:secret@example.com:8443/a?b=c") == "https://example.com:8443/…"
