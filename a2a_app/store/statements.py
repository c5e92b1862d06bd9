"""Statements: the SQL of Django's own compiler, made once for each shape and run with new values.

To write a statement takes Django several times as long as the database takes to run it. What is
done for each message and each event is always of the same few shapes: these fields of this model,
under these conditions. So a shape is compiled the first time, on each connection, and after that
only its values change. The SQL is what a queryset would have sent, on every database.
"""

import itertools
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, TypeAlias, TypeVar

from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Count
from django.db.models.constants import OnConflict
from django.db.models.expressions import BaseExpression, Expression
from django.db.models.sql import InsertQuery, UpdateQuery

from a2a_app.store.database import alias
from a2a_app.store.sql import Sql

Model: TypeAlias = type[models.Model]
Fields: TypeAlias = tuple[str, ...]
M = TypeVar("M", bound=models.Model)

# Where a database names no limit to the values of one statement.
MOST_VALUES = 30_000


class Place(Expression):
    """Where a value goes that is not known when the statement is compiled."""

    def __init__(self, number: int, prepare: Callable[..., Any]) -> None:
        super().__init__()
        self.number = number
        self.prepare = prepare
        """The field's way to make its values into what the database takes."""

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """Give a placeholder, and this place as what stands there."""
        return "%s", [self]


class Constant(Expression):
    """A value that stands in the SQL itself."""

    def __init__(self, sql: str) -> None:
        super().__init__()
        self._sql = sql

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """Give the value as SQL."""
        return self._sql, []


NULL, EMPTY = Constant("NULL"), Constant("''")
# In a JSONField no text is not empty.
TEXTS = ("CharField", "TextField")


class Statement:
    """What a compiler has made of one shape, for the connection that it was made on."""

    def __init__(self, compiler: Any, sql: str, params: Iterable[Any]) -> None:
        self.sql = sql
        self._params = tuple(params)
        self._compiler = compiler
        self._converters = compiler.get_converters([shown[0] for shown in compiler.select or ()])

    def params(self, values: Sequence[Any]) -> list[Any]:
        """Put values in their places, as the database takes them."""
        connection = self._compiler.connection
        return [
            each.prepare(values[each.number], connection) if isinstance(each, Place) else each
            for each in self._params
        ]

    def fetch(self, values: Sequence[Any]) -> list[Any]:
        """Read with these values; gives rows of what the models' fields hold."""
        with self._compiler.connection.cursor() as cursor:
            cursor.execute(self.sql, self.params(values))
            return list(self._compiler.apply_converters(cursor.fetchall(), self._converters))


def select(
    model: type[M],
    *,
    related: Fields = (),
    order_by: Fields = (),
    limit: int | None = None,
    **where: Any,
) -> list[M]:
    """Read the rows that meet the conditions, which are written as for `filter`.

    Args:
        model: Whose rows.
        related: Foreign keys whose rows are read with them, as by `select_related`.
        order_by: As the queryset's.
        limit: How many at the most. It is part of the shape.
        where: The conditions.
    """
    names = _columns(model)
    others: list[Any] = [model._meta.get_field(name) for name in related]
    wanted = (*names, *(f"{o.name}__{name}" for o in others for name in _columns(o.related_model)))
    made = []
    for row in select_values(model, wanted, order_by=order_by, limit=limit, **where):
        one = model.from_db(alias(), names, row[: len(names)])
        start = len(names)
        for other in others:
            columns = _columns(other.related_model)
            values = row[start : (start := start + len(columns))]
            known = getattr(one, other.attname) is not None
            other.set_cached_value(
                one, other.related_model.from_db(alias(), columns, values) if known else None
            )
        made.append(one)
    return made


def select_values(
    model: Model, fields: Fields, *, order_by: Fields = (), limit: int | None = None, **where: Any
) -> list[Any]:
    """Read fields of the rows that meet the conditions. See `select`."""
    statement = _known(
        (model, "values", fields, order_by, limit, *_shape(where)),
        lambda: (
            model._base_manager.filter(**_conditions(model, where))
            .order_by(*order_by)
            .values_list(*fields)[:limit]
            .query
        ),
    )
    return statement.fetch(_given(where))


def count(model: Model, **where: Any) -> int:
    """Count the rows that meet the conditions."""

    def query() -> Any:
        counted = model._base_manager.filter(**_conditions(model, where)).query
        # As `get_aggregation` does: no column of the model's, and so no groups.
        counted.default_cols = False
        counted.add_annotation(Count("*"), "number")
        return counted

    statement = _known((model, "count", *_shape(where)), query)
    return int(statement.fetch(_given(where))[0][0])


def update(model: Model, values: Mapping[str, Any], **where: Any) -> int:
    """Change fields of the rows that meet the conditions; gives how many rows those were.

    A value may be an expression, such as `Now()`. It is part of the shape, so it should be one that
    comes again.
    """
    sql = updating(model, values, **where)
    with connections[alias()].cursor() as cursor:
        cursor.execute(sql.whole, sql.params)
        return int(cursor.rowcount)


def updating(model: Model, values: Mapping[str, Any], **where: Any) -> Sql:
    """Give the statement of an `update`."""

    def query() -> Any:
        changed: Any = model._base_manager.filter(**_conditions(model, where)).query.chain(
            UpdateQuery
        )
        changed.add_update_values(
            {
                name: _place(model._meta.get_field(name), value, number)
                for number, (name, value) in enumerate(values.items(), len(_given(where)))
            }
        )
        return changed

    fixed = _expressions(values.values())
    statement = _known((model, "update", *values, *fixed, *_shape(where)), query)
    return Sql(statement.sql, statement.params([*_given(where), *values.values()]))


def insert(rows: Sequence[models.Model], *, overwrite: Fields = (), unique: Fields = ()) -> None:
    """Insert rows of one model, in as few statements as the database allows; sends no signals.

    Args:
        rows: The rows. An expression may be a value where there is one row only.
        overwrite: The fields to change instead, where the row is there already.
        unique: The fields by which that is seen.
    """
    with connections[alias()].cursor() as cursor:
        for sql in insertion(rows, overwrite=overwrite, unique=unique):
            cursor.execute(sql.whole, sql.params)


def insertion(
    rows: Sequence[models.Model], *, overwrite: Fields = (), unique: Fields = ()
) -> list[Sql]:
    """Give the statements of an `insert`."""
    if not rows:
        return []
    model = type(rows[0])
    fields = [field for field in model._meta.concrete_fields if not field.generated]
    given = [[field.pre_save(row, True) for field in fields] for row in rows]
    fixed: list[Any] = [None] * len(fields)
    if len(rows) == 1:
        fixed = [_constant(*each) for each in zip(fields, given[0], strict=True)]

    def query() -> Any:
        inserted = InsertQuery(
            model,
            on_conflict=OnConflict.UPDATE if overwrite else None,
            update_fields=[model._meta.get_field(name) for name in overwrite],
            unique_fields=[model._meta.get_field(name) for name in unique],
        )
        places = {f.attname: fixed[n] or Place(n, f.get_db_prep_save) for n, f in enumerate(fields)}
        inserted.insert_values(fields, [model(**places)], raw=True)
        return inserted

    statement = _known((model, "insert", overwrite, *fixed), query)
    return _insertions(statement, fields, [statement.params(each) for each in given])


def _constant(field: Any, value: Any) -> BaseExpression | None:
    """Give what of a row is part of its shape: an expression, and no text.

    psycopg reads a statement anew each time if it has more than 50 places.
    """
    if value is None:
        return NULL
    if isinstance(value, BaseExpression):
        return value
    return EMPTY if value == "" and field.get_internal_type() in TEXTS else None


def _insertions(
    statement: Statement, fields: Sequence[Any], rows: Sequence[list[Any]]
) -> list[Sql]:
    """Make the SQL that inserts one row insert all of them."""
    connection = connections[alias()]
    before, values, after = _three(statement.sql)
    if len(rows) == 1:
        if connection.vendor == "postgresql":
            return [Sql(f"{before}SELECT {values}", rows[0], after)]
        return [Sql(statement.sql, rows[0])]
    if connection.vendor == "postgresql":
        # A list for each column, as Django does too: psycopg takes as long to read hundreds of
        # placeholders as for a fifth of all that a stream costs.
        arrays = [f"(%s)::{each.db_type(connection).partition('(')[0]}[]" for each in fields]
        text = f"{before}SELECT * FROM UNNEST({', '.join(arrays)})"  # noqa: S608  # no values
        return [Sql(text, [list(column) for column in zip(*rows, strict=True)], after)]
    most = (connection.features.max_query_params or MOST_VALUES) // len(fields)
    made: list[Sql] = []
    for start in range(0, len(rows), most):
        some = rows[start : start + most]
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


@cache
def _columns(model: Model) -> Fields:
    return tuple(field.attname for field in model._meta.concrete_fields)


def _conditions(model: Model, where: Mapping[str, Any]) -> dict[str, Any]:
    numbers = itertools.count()
    conditions: dict[str, Any] = {}
    for name, value in where.items():
        places = [Place(next(numbers), _field(model, name).get_db_prep_value) for _ in _each(value)]
        conditions[name] = (
            places if isinstance(value, list) else None if value is None else places[0]
        )
    return conditions


def _each(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _given(where: Mapping[str, Any]) -> list[Any]:
    return [each for value in where.values() for each in _each(value)]


def _place(field: Any, value: Any, number: int) -> Any:
    return value if isinstance(value, BaseExpression) else Place(number, field.get_db_prep_save)


def _field(model: Model, name: str) -> Any:
    """Find the field that a condition is about, such as another model's: `task__agent`."""
    field: Any = None
    for step in name.split("__"):
        if field is not None and not field.is_relation:
            break  # what is left names a lookup
        options = field.related_model._meta if field else model._meta
        field = options.pk if step == "pk" else options.get_field(step)
    return field


def _shape(where: Mapping[str, Any]) -> list[Hashable]:
    # To compare with NULL is other SQL, and so are more values or fewer after IN.
    return [
        (name, len(value) if isinstance(value, list) else value is None)
        for name, value in where.items()
    ]


def _expressions(values: Iterable[Any]) -> list[Any]:
    return [value if isinstance(value, BaseExpression) else None for value in values]


def _known(shape: Hashable, query: Callable[[], Any]) -> Statement:
    """Give the statement of a shape; the first time it is compiled of the query."""
    connection: BaseDatabaseWrapper = connections[alias()]
    # Kept on the connection's object: it is one thread's, and goes with what was made for it.
    known: dict[Hashable, Statement] = connection.__dict__.setdefault("_a2a_statements", {})
    if shape not in known:
        compiler = query().get_compiler(connection=connection)
        compiled = compiler.as_sql()
        [(sql, params)] = compiled if isinstance(compiled, list) else [compiled]
        known[shape] = Statement(compiler, sql, params)
    return known[shape]
