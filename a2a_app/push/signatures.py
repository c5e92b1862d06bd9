"""Signatures of notifications: by the token of their configuration, and by the site's own key."""

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Any

from django.views.decorators.debug import sensitive_variables

from a2a_app import conf
from a2a_app.push.payloads import Notification
from a2a_app.store.deliveries import Delivery

HEADER = "X-A2A-Notification-Signature"
# For how long a token is good: longer than any request takes, and too short to be of use later.
TOKEN_SECONDS = 300


@sensitive_variables("secrets")
def signature_headers(
    delivery: Delivery, notification: Notification, secrets: Mapping[str, str]
) -> dict[str, str]:
    """Return the headers that sign one attempt to deliver a notification.

    Args:
        delivery: The webhook.
        notification: What is delivered.
        secrets: What its configuration has of `token` and `credentials`.
    """
    now, name = int(time.time()), _name(delivery, notification)
    headers: dict[str, str] = {}
    if token := secrets.get("token"):
        headers |= _by_token(token, name, now, notification.body)
    if conf.current().signing_key:
        signed = _by_key(delivery, name, now, notification.body)
        headers[HEADER] = signed
        # As the protocol's own example has it, where the client leaves the credentials to us.
        if delivery.scheme.lower() == "bearer" and not secrets.get("credentials"):
            headers["Authorization"] = f"{delivery.scheme} {signed}"
    return headers


def _name(delivery: Delivery, notification: Notification) -> str:
    """Return what names a notification, the same at each attempt."""
    kind = "task" if notification.is_snapshot else "event"
    return f"{delivery.id}-{kind}-{notification.seq}"


@sensitive_variables("token")
def _by_token(token: str, name: str, now: int, body: str) -> dict[str, str]:
    """Return the headers of Standard Webhooks, whose secret is the token."""
    signed = f"{name}.{now}.{body}".encode()
    signature = base64.b64encode(hmac.digest(token.encode(), signed, "sha256")).decode()
    return {
        "webhook-id": name,
        "webhook-timestamp": str(now),
        "webhook-signature": f"v1,{signature}",
    }


def _by_key(delivery: Delivery, name: str, now: int, body: str) -> str:
    """Return a JSON Web Token over the notification, by the key that signs the cards."""
    # Imported here, because its libraries come with the extra `signing`.
    from a2a_app.agents import signing

    claims: dict[str, Any] = {
        "iss": conf.current().public_url.rstrip("/"),
        "aud": delivery.url,
        "iat": now,
        "exp": now + TOKEN_SECONDS,
        "jti": name,
        "taskId": str(delivery.task_id),
        "request_body_sha256": hashlib.sha256(body.encode()).hexdigest(),
    }
    return signing.signed_token(claims)
