"""Inserts: rows into tables, in as few statements as the database allows.

A row is the names of all its columns with their values: to make a model of what is only stored
takes longer than to store it.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from types import NoneType
from typing import Any, TypeAlias
from uuid import UUID

from django.db.models import JSONField
from django.db.models.constants import OnConflict
from django.db.models.expressions import BaseExpression
from django.db.models.sql import InsertQuery

from a2a_app.database import connection
from a2a_app.database.statements import Fields, Model, Placeholder, Sql, Statement, compiled

Row: TypeAlias = Mapping[str, Any]

# Where a database names no limit to the values of one statement.
MOST_VALUES = 30_000


class Constant(BaseExpression):
    """A value that stands in the SQL itself: it needs no place."""

    def __init__(self, sql: str, of_json: str = "") -> None:
        """Make a constant from how it is written, and how in a column of JSON."""
        super().__init__()
        self._sql = sql
        self._of_json = of_json or sql

    def in_field(self, field: Any) -> "Constant":
        """Give it as one field has it."""
        return Constant(self._of_json) if isinstance(field, JSONField) else self

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """Give the value as SQL."""
        return self._sql, []


# What is empty mostly is, and a new task's numbers are 0 and 1. Each is one object: a shape is
# found by it.
_EMPTY = {
    NoneType: Constant("NULL"),
    str: Constant("''", of_json="'\"\"'"),
    list: Constant("'[]'"),
    dict: Constant("'{}'"),
}
_NUMBERS = {
    (bool, False): Constant("FALSE", of_json="'false'"),
    (bool, True): Constant("TRUE", of_json="'true'"),
    (int, 0): Constant("0", of_json="'0'"),
    (int, 1): Constant("1", of_json="'1'"),
}


def insert(
    model: Model, rows: Sequence[Row], *, overwrite: Fields = (), unique: Fields = ()
) -> None:
    """Insert rows; sends no signals.

    Args:
        model: Whose rows.
        rows: The rows. An expression may be a value where there is one row only.
        overwrite: The fields to change instead, where the row is there already.
        unique: The fields by which that is seen.
    """
    with connection().cursor() as cursor:
        for sql in prepare_inserts(model, rows, overwrite=overwrite, unique=unique):
            cursor.execute(sql.whole, sql.params)


def prepare_inserts(
    model: Model, rows: Sequence[Row], *, overwrite: Fields = (), unique: Fields = ()
) -> list[Sql]:
    """Give the statements of an `insert`."""
    if not rows:
        return []
    first = rows[0]
    fixed = [_fixed(value) for value in first.values()] if len(rows) == 1 else [None] * len(first)
    statement = compiled(
        (model, "insert", overwrite, *first, *fixed),
        lambda: _query(model, dict(zip(first, fixed, strict=True)), overwrite, unique),
    )
    if connection().vendor == "postgresql":
        return [_for_postgresql(statement, model, rows)]
    return _in_groups(statement, [statement.params(row) for row in rows])


def _fixed(value: Any) -> BaseExpression | None:
    """Give what of a value is part of the shape: a constant, an expression, or nothing."""
    kind = type(value)
    if kind is int or kind is bool:
        return _NUMBERS.get((kind, value))
    if not value:
        return _EMPTY.get(kind)
    return value if isinstance(value, BaseExpression) else None


def _query(
    model: Model, fixed: Mapping[str, BaseExpression | None], overwrite: Fields, unique: Fields
) -> InsertQuery:
    fields: list[Any] = [model._meta.get_field(name) for name in fixed]
    values = {}
    for field, value in zip(fields, fixed.values(), strict=True):
        of_field = value.in_field(field) if isinstance(value, Constant) else value
        values[field.attname] = of_field or Placeholder(field.attname, field, saved=True)
    query = InsertQuery(
        model,
        on_conflict=OnConflict.UPDATE if overwrite else None,
        update_fields=[model._meta.get_field(name) for name in overwrite],
        unique_fields=[model._meta.get_field(name) for name in unique],
    )
    query.insert_values(fields, [model(**values)], raw=True)
    return query


def _for_postgresql(statement: Statement, model: Model, rows: Sequence[Row]) -> Sql:
    """Insert what is selected, so that a condition may follow: see `Sql.where`."""
    before, values, after = _three(statement.sql)
    if len(rows) == 1:
        return Sql(f"{before}SELECT {values}", statement.params(rows[0]), after)
    # One value, whatever their number: psycopg takes longer to read places, and to write arrays,
    # than PostgreSQL to insert the rows.
    given = f"json_to_recordset((%s)::json) AS given({_typed(model, tuple(rows[0]))})"
    text = f"{before}SELECT * FROM {given}"  # noqa: S608  # no values
    return Sql(text, [json.dumps(rows, default=_as_text)], after)


def _as_text(value: object) -> str:
    """Write what JSON has no form for as PostgreSQL reads it."""
    if isinstance(value, UUID | datetime):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in a row.")


def _in_groups(statement: Statement, rows: Sequence[list[Any]]) -> list[Sql]:
    """Make the SQL that inserts one row insert as many as the database takes values for."""
    if len(rows) == 1:
        return [Sql(statement.sql, rows[0])]
    before, values, after = _three(statement.sql)
    most = connection().features.max_query_params or MOST_VALUES
    size = most // len(rows[0])
    made: list[Sql] = []
    for start in range(0, len(rows), size):
        some = rows[start : start + size]
        groups = ", ".join([f"({values})"] * len(some))
        text = f"{before}VALUES {groups}{after}"
        made.append(Sql(text, [value for row in some for value in row]))
    return made


@lru_cache(maxsize=256)
def _three(sql: str) -> tuple[str, str, str]:
    """Part the SQL that inserts one row: what is before its values, they, and what is after."""
    before, _, rest = sql.partition("VALUES (")
    values, conflict, after = rest.partition(") ON CONFLICT")
    if conflict:
        return before, values, f" ON CONFLICT{after}"
    return before, rest[: rest.rindex(")")], rest[rest.rindex(")") + 1 :]


@lru_cache(maxsize=256)
def _typed(model: Model, names: Fields) -> str:
    """Write down some columns with PostgreSQL's types."""
    types = [model._meta.get_field(name).db_type(connection()) for name in names]
    return ", ".join([f'"{name}" {each}' for name, each in zip(names, types, strict=True)])
