"""Selects: rows read by statements that are compiled once, and a row together with its children."""

from collections.abc import Sequence
from functools import cache, cached_property, lru_cache
from typing import Any, NamedTuple, TypeAlias, TypeVar
from uuid import UUID

from django.db import models
from django.db.models.expressions import Expression
from pydantic_core import from_json

from a2a_app.database.statements import (
    Fields,
    Model,
    Parameters,
    compiled,
    placeholders,
    shape_of,
    target_field,
    values_of,
)
from a2a_app.database.transactions import alias, connection

M = TypeVar("M", bound=models.Model)
# Names of fields, and expressions, each of which is one object that comes again.
Selected: TypeAlias = tuple[str | Expression, ...]

# Fields whose values JSON has as they are.
_IN_JSON = (models.CharField, models.IntegerField, models.JSONField, models.TextField)


class _CompiledSelect:
    """A SELECT of one shape, and how its rows become what the models' fields hold."""

    def __init__(self, query: Any) -> None:
        self._compiler = query.get_compiler(connection=connection())
        self.sql, params = self._compiler.as_sql()
        self.parameters = Parameters(params)
        self._columns = [column[0] for column in self._compiler.select or ()]
        self._converters = self._compiler.get_converters(self._columns)

    @property
    def width(self) -> int:
        """How many values a row has."""
        return len(self._columns)

    @cached_property
    def uuids(self) -> list[int]:
        """Where a row has UUIDs, which JSON has no form for.

        Raises TypeError for a field whose values JSON does not give back as they were: whatever is
        neither a number nor text nor JSON itself.
        """
        fields = [target_field(column.output_field) for column in self._columns]
        for field in fields:
            if not isinstance(field, (models.UUIDField, *_IN_JSON)):
                raise TypeError(f"{field} cannot be read as JSON.")
        return [place for place, field in enumerate(fields) if isinstance(field, models.UUIDField)]

    def convert(self, fetched: Sequence[Any]) -> list[Any]:
        """Return rows of the values that the models' fields hold, from those of the database."""
        return list(self._compiler.apply_converters(fetched, self._converters))


class Select(NamedTuple):
    """A SELECT with its values, before it is run."""

    statement: _CompiledSelect
    values: Sequence[Any]

    @property
    def params(self) -> list[Any]:
        """The values as the database takes them."""
        return self.statement.parameters.fill(self.values)


def prepare_select(
    model: Model, fields: Selected, *, order_by: Fields = (), limit: int | None = None, **where: Any
) -> Select:
    """Return what a `select_values` runs, to be run by `fetch`, or together with others."""
    statement = compiled(
        (model, "values", fields, order_by, limit, *shape_of(where)),
        lambda: _CompiledSelect(
            model._base_manager.filter(**placeholders(model, where))
            .order_by(*order_by)
            .values_list(*fields)[:limit]
            .query
        ),
    )
    return Select(statement, values_of(where))


def fetch(select: Select) -> list[Any]:
    """Run a SELECT and return its rows."""
    with connection().cursor() as cursor:
        cursor.execute(select.statement.sql, select.params)
        return select.statement.convert(cursor.fetchall())


def select_values(
    model: Model, fields: Selected, *, order_by: Fields = (), limit: int | None = None, **where: Any
) -> list[Any]:
    """Return fields of the rows that meet the conditions. See `select_models`."""
    return fetch(prepare_select(model, fields, order_by=order_by, limit=limit, **where))


def select_models(
    model: type[M],
    *,
    related: Fields = (),
    order_by: Fields = (),
    limit: int | None = None,
    **where: Any,
) -> list[M]:
    """Return the rows that meet the conditions.

    Args:
        model: Whose rows.
        related: Foreign keys whose rows are read with them, as by `select_related`.
        order_by: As for a queryset.
        limit: How many rows at most. It is part of the statement's shape.
        where: The conditions, written as for `filter`.
    """
    names = _columns(model)
    others: list[Any] = [model._meta.get_field(name) for name in related]
    wanted = (*names, *(f"{o.name}__{name}" for o in others for name in _columns(o.related_model)))
    rows = []
    for values in select_values(model, wanted, order_by=order_by, limit=limit, **where):
        row = model.from_db(alias(), names, values[: len(names)])
        start = len(names)
        for other in others:
            columns = _columns(other.related_model)
            its_values = values[start : (start := start + len(columns))]
            is_there = getattr(row, other.attname) is not None
            other.set_cached_value(
                row, other.related_model.from_db(alias(), columns, its_values) if is_there else None
            )
        rows.append(row)
    return rows


def count(model: Model, *, order_by: Fields = (), limit: int | None = None, **where: Any) -> int:
    """Count the rows that meet the conditions, and no further than to a limit.

    Args:
        model: Whose rows.
        order_by: In which order they are counted. With an index that has the conditions and this
            order, no more than the counted rows are read, wherever in the table they are.
        limit: How many are counted at most. None: all.
        where: The conditions, written as for `filter`.
    """
    counted = prepare_select(model, ("pk",), order_by=order_by, limit=limit, **where)
    with connection().cursor() as cursor:
        cursor.execute(_sql_of_count(counted.statement.sql), counted.params)
        [number] = cursor.fetchone()
    return int(number)


def _sql_of_count(sql: str) -> str:
    return f"SELECT COUNT(*) FROM ({sql}) AS counted"  # noqa: S608  # no values


def fetch_with_children(one: Select, *others: Select) -> tuple[Any, list[list[Any]]] | None:
    """Return a row, and the rows of the others where there is one; None where there is none.

    Without the row nothing of the others is read, so what decides who may see it decides for all.
    On PostgreSQL all of it is one statement and of one moment: the rows of the others come as
    columns of the first, each an array of JSON. A statement less is a round trip less, and rows
    that come as a text cost Python less than rows. Elsewhere what is stored meanwhile may be among
    the others.
    """
    if connection().vendor != "postgresql":
        rows = fetch(one)
        return (rows[0], [fetch(other) for other in others]) if rows else None
    sql = _sql_with_children(
        one.statement.width,
        one.statement.sql,
        *[(other.statement.width, other.statement.sql) for other in others],
    )
    with connection().cursor() as cursor:
        cursor.execute(sql, [param for select in (*others, one) for param in select.params])
        row = cursor.fetchone()
    if row is None:
        return None
    width = one.statement.width
    [values] = one.statement.convert([row[:width]])
    texts = zip(others, row[width:], strict=True)
    return values, [_rows_of_json(other, text) for other, text in texts]


@lru_cache(maxsize=64)
def _sql_with_children(width: int, one: str, *others: tuple[int, str]) -> str:
    # Each column has a name of its own: two tables may have columns of the same.
    children = "".join(
        f", (SELECT json_agg(json_build_array({_names(columns)}))::text "  # noqa: S608  # no values
        f"FROM ({sql}) AS r({_names(columns)}))"
        for columns, sql in others
    )
    return f"SELECT q.*{children} FROM ({one}) AS q({_names(width)})"  # noqa: S608  # no values


def _names(columns: int) -> str:
    return ", ".join([f"c{number}" for number in range(columns)])


def _rows_of_json(select: Select, text: str | None) -> list[Any]:
    rows: list[list[Any]] = from_json(text) if text else []
    for place in select.statement.uuids:
        for row in rows:
            row[place] = row[place] and UUID(row[place])
    return rows


@cache
def _columns(model: Model) -> Fields:
    return tuple(field.attname for field in model._meta.concrete_fields)
