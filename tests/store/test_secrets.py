"""Secrets: read with an earlier SECRET_KEY, and sealed anew with the present one."""

import io

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from a2a_app import models
from a2a_app.protocol import TaskPushNotificationConfig
from a2a_app.store.durable.wakeups import put_away
from a2a_app.store.secrets import UnreadableError, seal, unseal
from a2a_app.store.updates import Credentials, MessageReceived, Webhook
from a2a_app.store.webhooks import put_webhook
from tests.tasks import begin, claim_of, new_message


@pytest.mark.django_db(transaction=True)
def test_secrets_outlive_their_key_once_they_are_sealed_anew(settings: Settings) -> None:
    config = TaskPushNotificationConfig(id="one", url="https://example.com/", token="tick")
    given = Credentials(handed_on=seal({"token": {"of": 1}}))
    task = begin(received=MessageReceived(new_message(), credentials=given)).head.task_id
    put_webhook(task, Webhook(config, "example.com"), owner="", after=0)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", [settings.SECRET_KEY]
    output = io.StringIO()
    for _ in range(2):
        call_command("a2a_rotate_secrets", stdout=output)
    assert output.getvalue().splitlines() == [
        f"Encrypted anew: the secrets of {n} webhooks and of {n} turns." for n in (1, 0)
    ]
    settings.SECRET_KEY_FALLBACKS = []
    row, run = models.PushNotificationConfig.objects.get(), models.Run.objects.get()
    assert unseal(row.secrets) == {"token": "tick"}
    assert unseal(run.handed_on) == {"token": {"of": 1}}
    settings.SECRET_KEY = "another"
    with pytest.raises(UnreadableError):
        unseal(row.secrets)
    with pytest.raises(CommandError, match="1 webhooks and of 1 turns"):
        call_command("a2a_rotate_secrets", stdout=output)
    assert seal({}) == ""


@pytest.mark.django_db(transaction=True)
def test_a_turn_that_sleeps_can_read_what_was_handed_on_once_that_is_sealed_anew(
    settings: Settings,
) -> None:
    given = Credentials(handed_on=seal({"token": 1}))
    task_id = begin(received=MessageReceived(new_message(), credentials=given)).head.task_id
    claim = claim_of(task_id)
    assert claim is not None
    assert put_away(task_id, claim.run, None, lambda: False)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", [settings.SECRET_KEY]
    call_command("a2a_rotate_secrets", stdout=io.StringIO())
    settings.SECRET_KEY_FALLBACKS = []
    asleep = models.Run.objects.get(task=task_id, ended_at=None)
    assert unseal(asleep.handed_on) == {"token": 1}
