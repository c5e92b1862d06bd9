"""Deletes: many rows of a model at once, without reading them.

Django reads what it deletes wherever another table refers to it, and so takes several times as long
as the database. It need not where it is known what refers to a row.
"""

from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet
from django.db.models.signals import ModelSignal, post_delete, pre_delete

from a2a_app.database.statements import Model
from a2a_app.database.transactions import alias, connection
from a2a_app.database.values import IsAmong, key_array

_SIGNALS: tuple[ModelSignal, ...] = (pre_delete, post_delete)


def delete_rows(chosen: Sequence[tuple[Model, str]], keys: Sequence[UUID]) -> None:
    """Delete the rows that have one of the keys, and nothing else; send no signals.

    The caller deletes what refers to them, in the same transaction.

    Args:
        chosen: Models, each with the field in which its rows have a key. It is a field of their
            own, or one of a related model, written as for `filter`.
        keys: The keys.
    """
    if not keys:
        return
    ours = connection()
    if ours.vendor != "postgresql":
        for model, field in chosen:
            rows: Any = model._base_manager.filter(**{f"{field}__in": keys})
            rows._raw_delete(alias())
        return
    near = [(model, field) for model, field in chosen if "__" not in field]
    for model, field in chosen:
        field, _, far = field.partition("__")
        if far:
            # In one statement, PostgreSQL may read all rows of the model to join them.
            related: Any = model._meta.get_field(field).related_model
            found = related._base_manager.filter(IsAmong(F(far), keys))
            delete_rows([(model, field)], list(found.values_list("pk", flat=True)))
    if near:
        with ours.cursor() as cursor:
            cursor.execute(_deletion(tuple(near)), {"keys": key_array(keys)})


@lru_cache
def _deletion(chosen: tuple[tuple[Model, str], ...]) -> str:
    """Return PostgreSQL's statement: one for all models, as each takes a round trip."""
    quote = connection().ops.quote_name
    deletions = []
    for model, field in chosen:
        options: Any = model._meta
        table, column = quote(options.db_table), quote(options.get_field(field).column)
        names = f"{table} WHERE {column}"
        deletions.append(f"DELETE FROM {names} = ANY(%(keys)s::uuid[])")  # noqa: S608  # of models
    *others, last = deletions
    if not others:
        return last
    return f"WITH {', '.join(f'part_{n} AS ({each})' for n, each in enumerate(others))} {last}"


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


def may_skip_django(
    models: Iterable[Model], *, known: Iterable[Model] = (), receivers: Collection[Any] = ()
) -> bool:
    """Tell whether rows of these models may be deleted by `delete_rows`.

    They may not where a project hears of each deletion by a signal, or has a foreign key to one of
    them, which Django follows as `on_delete` says.

    Args:
        models: The models.
        known: Other models that refer to them, of which the caller deletes the rows itself.
        receivers: Receivers of the signals, whose work the caller does itself.
    """
    ours = set(models)
    expected = ours.union(known)
    return not any(_is_heard_of(model, receivers) or _refers(model) - expected for model in ours)


def _is_heard_of(model: Model, receivers: Collection[Any]) -> bool:
    """Tell whether a deletion would be heard of by others than some receivers."""
    # Django's public `has_listeners` does not say who they are.
    found = [signal._live_receivers(model) for signal in _SIGNALS]
    return any(each not in receivers for kinds in found for kind in kinds for each in kind)


def _refers(model: Model) -> set[Any]:
    """Return the models with a relation to a model, which Django would follow."""
    fields = model._meta.get_fields(include_hidden=True)
    return {field.related_model for field in fields if field.auto_created and not field.concrete}
