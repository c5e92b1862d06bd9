"""Secrets of webhooks: read with an earlier SECRET_KEY, and sealed anew with the present one."""

import io

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from a2a_app import models
from a2a_app.protocol import TaskPushNotificationConfig
from a2a_app.store.secrets import UnreadableError, seal, unseal
from a2a_app.store.updates import Webhook
from a2a_app.store.webhooks import put_webhook
from tests.tasks import begin


@pytest.mark.django_db(transaction=True)
def test_secrets_outlive_their_key_once_they_are_sealed_anew(settings: Settings) -> None:
    config = TaskPushNotificationConfig(id="one", url="https://example.com/", token="tick")
    put_webhook(begin().head.task_id, Webhook(config, "example.com"), owner="", after=0)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", [settings.SECRET_KEY]
    output = io.StringIO()
    for _ in range(2):
        call_command("a2a_rotate_secrets", stdout=output)
    assert [line.split()[-2] for line in output.getvalue().splitlines()] == ["1", "0"]
    settings.SECRET_KEY_FALLBACKS = []
    row = models.PushNotificationConfig.objects.get()
    assert unseal(row.secrets) == {"token": "tick"}
    settings.SECRET_KEY = "another"
    with pytest.raises(UnreadableError):
        unseal(row.secrets)
    with pytest.raises(CommandError, match="1 webhooks"):
        call_command("a2a_rotate_secrets", stdout=output)
    assert seal({}) == ""
