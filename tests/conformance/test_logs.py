"""Logs (section 13.4): no secret gets there."""

import logging
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from tests.clients.json_rpc import JsonRpcClient
from tests.conftest import ChangeSettings
from tests.test_authentication import issue
from tests.wire import message

SECRET = "a-secret-that-must-not-be-logged"


async def test_no_log_has_a_key_or_the_credentials_of_a_webhook(
    rpc: JsonRpcClient, a2a: ChangeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    a2a(ANONYMOUS="refuse", AUTHENTICATION=["a2a_app.authentication.ApiKeyAuth"])
    key = await sync_to_async(issue)("ann")
    config: dict[str, Any] = {
        "token": SECRET,
        "authentication": {"scheme": "Bearer", "credentials": SECRET},
    }
    for url in ("https://192.0.43.10/hook", "https://localhost/hook"):
        pushed = {"taskPushNotificationConfig": {**config, "url": url}}
        params = {"message": message(), "configuration": pushed}
        for header in (f"Bearer {key}", f"Bearer {key}x"):
            await rpc.call("SendMessage", params, agent="echo", Authorization=header)
    assert caplog.records
    assert SECRET not in caplog.text
    assert key not in caplog.text
