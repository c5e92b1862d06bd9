"""The security log of API keys: who issued, changed, revoked and deleted which, by whatever way.

Signals of Django tell of them, so that code of the project's is heard of as the admin is. Whoever
knows by whom it is done says so in the row: `row.actor = "user:7"`.
"""

from functools import partial
from typing import Any

from django.db import transaction
from django.db.models.signals import post_delete, post_save

from a2a_app.models import ApiKey
from a2a_app.models.owners import name_of_user
from a2a_app.security import SecurityEvent, record


def connect() -> None:
    """Log each change of a key from now on, once it is committed."""
    post_save.connect(_saved, sender=ApiKey, dispatch_uid="a2a_app.key_events")
    post_delete.connect(_deleted, sender=ApiKey, dispatch_uid="a2a_app.key_events")


def record_after_commit(event: SecurityEvent, row: ApiKey, using: str | None = None) -> None:
    """Log what has become of a key, once the transaction that does it is committed."""
    about = {
        "owner": name_of_user(row.user_id),
        "key": str(row.pk),
        "prefix": row.prefix,
        "actor": row.actor,
        "scopes": row.scopes,
        "agents": row.agents,
        "expires_at": row.expires_at.isoformat() if row.expires_at else "",
        "replaces": row.replaces,
    }
    transaction.on_commit(partial(record, event, **about), using=using, robust=True)


def _saved(
    sender: type[ApiKey],
    instance: ApiKey,
    created: bool,
    using: str,
    **_: Any,
) -> None:
    if created:
        event = SecurityEvent.KEY_ROTATED if instance.replaces else SecurityEvent.KEY_ISSUED
    elif instance.revoked_at and not instance.was_revoked:
        event = SecurityEvent.KEY_REVOKED
        instance.was_revoked = True
    else:
        event = SecurityEvent.KEY_CHANGED
    record_after_commit(event, instance, using)


def _deleted(sender: type[ApiKey], instance: ApiKey, using: str, **_: Any) -> None:
    record_after_commit(SecurityEvent.KEY_DELETED, instance, using)
