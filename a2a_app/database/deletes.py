"""Deletes: many rows of a model at once, without reading them.

Django reads what it deletes wherever another table refers to it, and so takes several times as long
as the database. It need not where it is known what refers to a row.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet
from django.db.models.signals import ModelSignal, post_delete, pre_delete

from a2a_app.database.statements import Model
from a2a_app.database.transactions import alias, connection

_SIGNALS: tuple[ModelSignal, ...] = (pre_delete, post_delete)


def delete_rows(model: Model, field: str, keys: Sequence[UUID]) -> None:
    """Delete the rows whose field has one of the keys, and nothing else; send no signals.

    The caller deletes what refers to them, in the same transaction.

    Args:
        model: Whose rows.
        field: A field that has keys, or one of a related model, written as for `filter`.
        keys: The keys.
    """
    ours = connection()
    field, _, far = field.partition("__")
    if far:
        # In one statement, PostgreSQL may read all rows of the model to join them.
        related: Any = model._meta.get_field(field).related_model
        near = related._base_manager.filter(**{f"{far}__in": keys})
        keys = list(near.values_list("pk", flat=True))
    if not keys:
        return
    if ours.vendor == "postgresql":
        # Django would make a parameter of each key, and take longer for it than PostgreSQL.
        options: Any = model._meta
        quote = ours.ops.quote_name
        table, column = quote(options.db_table), quote(options.get_field(field).column)
        statement = f"DELETE FROM {table} WHERE {column} = ANY(%s)"  # noqa: S608  # a model's names
        with ours.cursor() as cursor:
            cursor.execute(statement, [list(keys)])
    else:
        rows: Any = model._base_manager.filter(**{f"{field}__in": keys})
        rows._raw_delete(alias())


def lock_rows(
    rows: "QuerySet[Any]", *fields: str, touch: str, skip_locked: bool = False
) -> list[Any]:
    """Lock rows until the transaction ends, so that no other row can refer to them anew.

    Args:
        rows: The rows.
        fields: What to return of them.
        touch: One of their fields, for databases that lock by nothing but a write. It stays as it
            is.
        skip_locked: Whether rows are left out that another transaction has locked, instead of
            waiting for it.

    Returns:
        The fields of each row, which is as the queryset wants it now that it is locked.
    """
    if connection().features.has_select_for_update:
        # In one order, so that two transactions never wait for each other.
        return list(
            rows.order_by("pk").select_for_update(skip_locked=skip_locked).values_list(*fields)
        )
    rows.update(**{touch: F(touch)})
    return list(rows.values_list(*fields))


def may_skip_django(models: Iterable[Model], *, known: Iterable[Model] = ()) -> bool:
    """Tell whether rows of these models may be deleted by `delete_rows`.

    They may not where a project hears of each deletion by a signal, or has a foreign key to one of
    them, which Django follows as `on_delete` says. Nor may they where the database checks foreign
    keys at once, where rows of these models refer to each other.

    Args:
        models: The models.
        known: Other models that refer to them, of which the caller deletes the rows itself.
    """
    ours = set(models)
    expected = ours.union(known)
    return connection().features.can_defer_constraint_checks and not any(
        _is_heard_of(model) or _refers(model) - expected for model in ours
    )


def _is_heard_of(model: Model) -> bool:
    return any(signal.has_listeners(model) for signal in _SIGNALS)


def _refers(model: Model) -> set[Any]:
    """Return the models with a relation to a model, which Django would follow."""
    fields = model._meta.get_fields(include_hidden=True)
    return {field.related_model for field in fields if field.auto_created and not field.concrete}
