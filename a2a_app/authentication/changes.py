"""Changes of Django's users, groups, permissions and of API keys, by which callers lose access."""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model, user_logged_out
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Model
from django.db.models.signals import m2m_changed, post_delete, post_save

from a2a_app.access import announce_change
from a2a_app.models import ApiKey

# Django saves it with each sign-in.
_LAST_LOGIN = {"last_login"}
_BEFORE = ("pre_add", "pre_remove", "pre_clear")


def connect() -> None:
    """Announce each change from now on, once it is committed."""
    for model in _watched_models():
        post_save.connect(_saved, sender=model, dispatch_uid=f"a2a_app.{model._meta.label}")
        post_delete.connect(_deleted, sender=model, dispatch_uid=f"a2a_app.{model._meta.label}")
    for through in _watched_relations():
        m2m_changed.connect(_related, sender=through, dispatch_uid=f"a2a_app.{through.__name__}")
    user_logged_out.connect(_signed_out, dispatch_uid="a2a_app.access")


def announce_after_commit(using: str | None = None) -> None:
    """Announce a change, once the transaction that makes it is committed."""
    # Robust: the change is committed, whatever happens to the announcement.
    transaction.on_commit(announce_change, using=using, robust=True)


def _watched_models() -> Iterator[type[Model]]:
    """Return the models and their proxies, each of which sends its own signals."""
    watched = (get_user_model(), Group, ApiKey)
    return (model for model in apps.get_models() if model._meta.concrete_model in watched)


def _watched_relations() -> Iterator[Any]:
    for model in (get_user_model(), Group):
        for field in model._meta.many_to_many:
            yield field.remote_field.through


def _saved(
    sender: type[Model],
    created: bool,
    using: str,
    update_fields: frozenset[str] | None = None,
    **_: Any,
) -> None:
    # By a new row nobody loses anything.
    if not created and (update_fields is None or update_fields - _LAST_LOGIN):
        announce_after_commit(using)


def _deleted(sender: type[Model], using: str, **_: Any) -> None:
    announce_after_commit(using)


def _related(sender: type[Model], action: str, using: str, **_: Any) -> None:
    if action not in _BEFORE:
        announce_after_commit(using)


def _signed_out(sender: Any, **_: Any) -> None:
    announce_after_commit()
