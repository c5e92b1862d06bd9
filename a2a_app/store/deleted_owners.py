"""Deleted owners: what becomes of the tasks of a user, or another row, that is deleted."""

from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Model
from django.db.models.signals import post_save, pre_delete

from a2a_app import conf
from a2a_app.database import alias
from a2a_app.models import ArchivedLog
from a2a_app.models.deletion import (
    OwnsConversations,
    is_of_copy,
    refuse_to_delete_owners,
)
from a2a_app.models.owners import owner_models
from a2a_app.store.archives import tidy
from a2a_app.store.people import Person, disown, forget


def watch() -> None:
    """Hear of each deletion, and each beginning, of a row that may own tasks.

    Raises:
        ImproperlyConfigured: OWNER_MODELS names what is no model.
    """
    owners = owner_models()
    for model in apps.get_models(include_auto_created=True):
        # Django sends a proxy's signals for the proxy only.
        if model._meta.concrete_model in owners:
            pre_delete.connect(on_delete, sender=model, dispatch_uid="a2a_owner_deleted")
            post_save.connect(on_save, sender=model, dispatch_uid="a2a_owner_saved")
    if conf.current().owner_deleted != "refuse":
        return
    for model in owners - {get_user_model()}:  # users have keys in tasks
        if not any(isinstance(field, OwnsConversations) for field in model._meta.private_fields):
            field = OwnsConversations()
            field.contribute_to_class(model, "owns_a2a_conversations", private_only=True)


def on_delete(sender: type[Model], instance: Model, using: str, **_: Any) -> None:
    """Do with the tasks of a row that is being deleted what OWNER_DELETED says.

    It is part of the transaction that deletes the row.

    Raises:
        ProtectedError: The row owns something, and may not be deleted while it does.
    """
    if is_of_copy(instance, using):
        return
    person = Person.of_row(instance)
    match conf.current().owner_deleted:
        case "keep":
            disown(person)
        case "forget":
            if ArchivedLog.objects.filter(task__in=person.tasks()).exists():
                # No transaction can take back what that does with files.
                transaction.on_commit(tidy, using=alias(), robust=True)
            for _ in forget(person):
                pass
        case "refuse":
            refuse_to_delete_owners([instance], using)  # which may have come since Django looked


def on_save(
    sender: type[Model], instance: Model, created: bool, raw: bool, using: str, **_: Any
) -> None:
    """Pass on what still belongs to a row that had the key of a new one.

    There is any where the old row was deleted by plain SQL, or where a request of its was under way
    meanwhile.
    """
    # Of a dump that is being loaded, the tasks are the row's own.
    if created and not raw and not is_of_copy(instance, using):
        disown(Person.of_row(instance))
