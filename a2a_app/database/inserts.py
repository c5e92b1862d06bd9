"""Inserts: rows into tables, in as few statements as the database allows.

A row is the names of all its columns with their values: to make a model of what is only stored
takes longer than to store it.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from types import NoneType
from typing import Any, TypeAlias

from django.db.models.constants import OnConflict
from django.db.models.expressions import BaseExpression
from django.db.models.sql import InsertQuery
from pydantic_core import to_json

from a2a_app.database.statements import Fields, Model, Parameters, Placeholder, Write, compiled
from a2a_app.database.transactions import connection

Row: TypeAlias = Mapping[str, Any]


class Constant(BaseExpression):
    """A value that stands in the SQL itself, and so needs no parameter."""

    def __init__(self, sql: str) -> None:
        """Make a constant from how SQL writes it."""
        super().__init__()
        self._sql = sql

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """Return the value as SQL."""
        return self._sql, []


# What is empty mostly is, and a new task's numbers are 0 and 1. Each is one object, because it is
# part of the shape by which a compiled statement is found.
_EMPTY = {
    NoneType: Constant("NULL"),
    str: Constant("''"),
    list: Constant("'[]'"),
    dict: Constant("'{}'"),
}
_NUMBERS = {
    (bool, False): Constant("FALSE"),
    (bool, True): Constant("TRUE"),
    (int, 0): Constant("0"),
    (int, 1): Constant("1"),
}


class _CompiledInsert:
    """The pieces of an INSERT of one shape, from which statements of any length are put together.

    Args:
        model: Whose rows.
        columns: The names of the columns, each with what is fixed of its value: a constant, an
            expression, or None for a value that changes.
        overwrite: The fields to change instead, where the row is there already.
        unique: The fields by which that is seen.
        adds: Whether the values are added to those fields, and do not replace them.
    """

    def __init__(
        self,
        model: Model,
        columns: Mapping[str, BaseExpression | None],
        overwrite: Fields,
        unique: Fields,
        adds: bool,
    ) -> None:
        quote = connection().ops.quote_name
        fields = _fields(model, columns)
        compiler: Any = InsertQuery(model).get_compiler(connection=connection())
        values = [
            compiler.compile(compiler.prepare_value(field, _value_in(field, fixed)))
            for field, fixed in zip(fields, columns.values(), strict=True)
        ]
        on_conflict = OnConflict.UPDATE if overwrite else None
        insert = connection().ops.insert_statement(on_conflict=on_conflict)
        names = ", ".join(quote(field.column) for field in fields)
        self.beginning = f"{insert} {quote(model._meta.db_table)} ({names})"
        self.values = ", ".join(sql for sql, _ in values)
        self.parameters = Parameters(param for _, params in values for param in params)
        overwritten, seen = (
            [field.column for field in _fields(model, names)] for names in (overwrite, unique)
        )
        suffix = connection().ops.on_conflict_suffix_sql(fields, on_conflict, overwritten, seen)
        if adds:
            added, table = map(quote, overwritten), quote(model._meta.db_table)
            sums = ", ".join([f"{each} = {table}.{each} + EXCLUDED.{each}" for each in added])
            suffix = f"ON CONFLICT ({', '.join(map(quote, seen))}) DO UPDATE SET {sums}"
        self.suffix = f" {suffix}" if suffix else ""


def insert(
    model: Model,
    rows: Sequence[Row],
    *,
    overwrite: Fields = (),
    unique: Fields = (),
    adds: bool = False,
) -> None:
    """Insert rows; send no signals.

    Args:
        model: Whose rows.
        rows: The rows. An expression may be a value where there is one row only.
        overwrite: The fields to change instead, where the row is there already.
        unique: The fields by which that is seen.
        adds: Whether the values are added to those fields, and do not replace them. PostgreSQL and
            SQLite can.
    """
    with connection().cursor() as cursor:
        for write in prepare_inserts(model, rows, overwrite=overwrite, unique=unique, adds=adds):
            cursor.execute(write.sql, write.params)


def prepare_inserts(
    model: Model,
    rows: Sequence[Row],
    *,
    overwrite: Fields = (),
    unique: Fields = (),
    adds: bool = False,
) -> list[Write]:
    """Return the statements of an `insert`, to be run in a batch."""
    if not rows:
        return []
    first = rows[0]
    fixed = [_fixed(value) for value in first.values()] if len(rows) == 1 else [None] * len(first)
    statement = compiled(
        (model, "insert", overwrite, adds, *first, *fixed),
        lambda: _CompiledInsert(
            model, dict(zip(first, fixed, strict=True)), overwrite, unique, adds
        ),
    )
    if connection().vendor == "postgresql":
        return [_write_for_postgresql(statement, model, rows)]
    return _writes_in_groups(statement, rows)


def _fields(model: Model, names: Iterable[str]) -> list[Any]:
    return [model._meta.get_field(name) for name in names]


def _fixed(value: Any) -> BaseExpression | None:
    """Return what of a value is part of the shape: a constant, an expression, or nothing."""
    kind = type(value)
    if kind is int or kind is bool:
        return _NUMBERS.get((kind, value))
    if not value:
        return _EMPTY.get(kind)
    return value if isinstance(value, BaseExpression) else None


def _value_in(field: Any, fixed: BaseExpression | None) -> BaseExpression:
    return fixed or Placeholder(field.attname, field, saved=True)


def _write_for_postgresql(statement: _CompiledInsert, model: Model, rows: Sequence[Row]) -> Write:
    """Insert what is selected, so that a condition may follow: see `Write.sql_if`."""
    beginning = statement.beginning
    if len(rows) == 1:
        params = statement.parameters.fill(rows[0])
        return Write(f"{beginning} SELECT {statement.values}", params, suffix=statement.suffix)
    # One parameter, whatever the number of rows: psycopg takes longer to read placeholders, and to
    # write arrays, than PostgreSQL to insert the rows.
    given = f"json_to_recordset((%s)::json) AS given({_typed(model, tuple(rows[0]))})"
    text = f"{beginning} SELECT * FROM {given}"  # noqa: S608  # no values
    return Write(text, [to_json(rows).decode()], suffix=statement.suffix)


def _writes_in_groups(statement: _CompiledInsert, rows: Sequence[Row]) -> list[Write]:
    """Return statements that insert as many rows each as the database takes parameters for."""
    params = [statement.parameters.fill(row) for row in rows]
    most: Any = connection().features.max_query_params
    size = most // max(1, len(params[0]))
    writes: list[Write] = []
    for start in range(0, len(rows), size):
        some = params[start : start + size]
        groups = ", ".join([f"({statement.values})"] * len(some))
        text = f"{statement.beginning} VALUES {groups}"
        writes.append(Write(text, [p for row in some for p in row], suffix=statement.suffix))
    return writes


@lru_cache(maxsize=256)
def _typed(model: Model, names: Fields) -> str:
    """Return column names with PostgreSQL's types."""
    types = [model._meta.get_field(name).db_type(connection()) for name in names]
    return ", ".join([f'"{name}" {each}' for name, each in zip(names, types, strict=True)])
