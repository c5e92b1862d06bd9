"""Deleted owners: what becomes of the tasks of a user, or another row, that is deleted."""

from typing import Any

from django.apps import apps
from django.db import router, transaction
from django.db.models import Model, ProtectedError
from django.db.models.signals import post_save, pre_delete

from a2a_app import conf
from a2a_app.database import alias
from a2a_app.models import ArchivedLog
from a2a_app.models.owners import owner_models
from a2a_app.store.archives import tidy
from a2a_app.store.people import Person, disown, forget

# How many conversations an error names.
NAMED = 20


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


def on_delete(sender: type[Model], instance: Model, using: str, **_: Any) -> None:
    """Do with the tasks of a row that is being deleted what OWNER_DELETED says.

    It is part of the transaction that deletes the row.

    Raises:
        ProtectedError: The row owns something, and may not be deleted while it does.
    """
    if using != router.db_for_write(sender, instance=instance):
        return  # a row of a copy of the database
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
            owned: set[Model] = set(person.contexts()[:NAMED])
            if owned:
                raise ProtectedError(
                    f"{instance} has conversations with agents, and {conf.NAME}['OWNER_DELETED'] "
                    "is 'refuse'. Use manage.py a2a_forget first.",
                    owned,
                )


def on_save(
    sender: type[Model], instance: Model, created: bool, raw: bool, using: str, **_: Any
) -> None:
    """Pass on what still belongs to a row that had the key of a new one.

    There is any where the old row was deleted by plain SQL, or where a request of its was under way
    meanwhile.
    """
    # Of a dump that is being loaded, the tasks are the row's own.
    if created and not raw and using == router.db_for_write(sender, instance=instance):
        disown(Person.of_row(instance))
