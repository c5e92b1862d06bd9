"""Deletion of rows that own something: refused where OWNER_DELETED says so, and early enough.

Django's admin shows why a row cannot be deleted where that is found out as the deletion is planned.
An error that a signal raises later is a server error there.
"""

from collections.abc import Iterable
from typing import Any

from django.db import models, router
from django.db.models.fields.mixins import FieldCacheMixin

from a2a_app import conf
from a2a_app.models.context import Context
from a2a_app.models.owners import callers_named, may_own, name_of_row

# How many tasks or conversations an error names.
NAMED = 20


def refuse_to_delete_owners(rows: Iterable[models.Model], using: str) -> None:
    """Raise ProtectedError if any of these rows owns something, and OWNER_DELETED is "refuse"."""
    if conf.current().owner_deleted == "refuse":
        owners = [row for row in rows if may_own(row) and not is_of_copy(row, using)]
        callers = [caller for row in owners for caller in callers_named(name_of_row(row))]
        _protect(Context.objects.filter(caller__in=callers))


def is_of_copy(row: models.Model, using: str) -> bool:
    """Tell whether a database is only a copy of the one that a row is written to."""
    return using != router.db_for_write(type(row), instance=row)


def keep_or_protect(collector: Any, field: Any, tasks: Any, using: str) -> None:
    """Forget a deleted user in its tasks, or refuse the deletion where OWNER_DELETED says so.

    What becomes of the tasks, and of other owners', is decided in `store/deleted_owners.py`.
    """
    if conf.current().owner_deleted == "refuse":
        _protect(tasks)
        # A user may also own conversations without tasks, which have no key of it.
        for rows in list(collector.data.values()):
            refuse_to_delete_owners(rows, using)
    models.SET_NULL(collector, field, tasks, using)


# As Django's own has: it is called where there are no tasks too, and does not read them.
keep_or_protect.lazy_sub_objs = True  # type: ignore[attr-defined]  # Django looks for it there


# Django does not know its type when it runs.
class OwnsConversations(FieldCacheMixin, models.Field):  # type: ignore[type-arg]  # as above
    """A field without a column, by which Django finds that a row of another model owns something.

    It asks such a field of a model as it does a generic relation, and leaves it out of the model's
    fields, its forms and its validation as one.
    """

    related_model = None
    cache_name = "owns_a2a_conversations"

    def __init__(self) -> None:
        """Make the field; it is nothing that a form shows."""
        super().__init__(editable=False)
        self.is_relation = self.one_to_many = True

    def get_attname_column(self) -> tuple[str, None]:
        """Return the field's name, and no column."""
        return self.get_attname(), None

    def bulk_related_objects(self, rows: Iterable[models.Model], using: str) -> tuple[()]:
        """Return nothing that is deleted with rows; raise ProtectedError where they may not be."""
        refuse_to_delete_owners(rows, using)
        return ()


def _protect(owned: "models.QuerySet[Any]") -> None:
    if some := set(owned[:NAMED]):
        raise models.ProtectedError(
            f"It has conversations with agents, and {conf.NAME}['OWNER_DELETED'] is 'refuse'. Use "
            "manage.py a2a_forget first.",
            some,
        )
