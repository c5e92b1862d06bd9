"""Statements: the SQL of Django's own compiler, made once for each shape and run with new values.

To write a statement takes Django several times as long as the database takes to run it. What is
done for each message and each event is always of the same few shapes: these fields of this model,
under these conditions. So a shape is compiled the first time, on each connection, and after that
only its values change. The SQL is what a queryset would have sent, on every database.
"""

import itertools
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import cache, cached_property
from typing import Any, NamedTuple, TypeAlias, TypeVar

from django.db import models
from django.db.models import Count
from django.db.models.expressions import BaseExpression, Expression
from django.db.models.sql import UpdateQuery

from a2a_app.database import alias, connection


class Sql(NamedTuple):
    """The text of an INSERT or an UPDATE, and the values in its places."""

    text: str
    params: Sequence[Any]
    end: str = ""
    """What comes after the text, and after a condition where there is one."""

    @property
    def whole(self) -> str:
        """The statement as it is run on its own."""
        return self.text + self.end

    def where(self, condition: str) -> str:
        """Give it as one that does nothing unless a condition holds; for PostgreSQL only."""
        # Values are not in the text, so no value looks like it.
        joint = "AND" if " WHERE " in self.text else "WHERE"
        return f"{self.text} {joint} {condition}{self.end}"


Model: TypeAlias = type[models.Model]
Fields: TypeAlias = tuple[str, ...]
M = TypeVar("M", bound=models.Model)

# Fields whose values psycopg takes as they are.
_AS_THEY_ARE = (
    models.BooleanField,
    models.CharField,
    models.DateTimeField,
    models.TextField,
    models.UUIDField,
)
# Fields whose values JSON has as they are.
_IN_JSON = (models.CharField, models.IntegerField, models.JSONField, models.TextField)


class Placeholder(Expression):
    """Where a value goes that is not known when the statement is compiled."""

    def __init__(self, key: int | str, field: Any, *, saved: bool) -> None:
        """Make the place of one field's value.

        Args:
            key: What finds it among the values that the statement is run with.
            field: The field.
            saved: Whether the value is stored there, or compared with what is.
        """
        super().__init__()
        self.key = key
        # A field of the project's may prepare them in its own way: it is another type.
        plain = type(_target(field)) in _AS_THEY_ARE and connection().vendor == "postgresql"
        prepare = field.get_db_prep_save if saved else field.get_db_prep_value
        self.prepare: Callable[..., Any] | None = None if plain else prepare
        """The field's way to make its values into what the database takes; None: they are."""

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """Give a placeholder, and this place as what stands there."""
        return "%s", [self]


class Statement:
    """What a compiler has made of one shape, for the connection that it was made on."""

    def __init__(self, compiler: Any, sql: str, params: Iterable[Any]) -> None:
        self.sql = sql
        params = tuple(params)
        places = [each for each in params if isinstance(each, Placeholder)]
        self._keys = [place.key for place in places]
        self._prepared = [(i, each.prepare) for i, each in enumerate(places) if each.prepare]
        self._fixed = [
            (i, each) for i, each in enumerate(params) if not isinstance(each, Placeholder)
        ]
        self._compiler = compiler
        self._shown = [column[0] for column in compiler.select or ()]
        self._converters = compiler.get_converters(self._shown)

    def params(self, values: Any) -> list[Any]:
        """Put values, a sequence or a mapping, in their places, as the database takes them."""
        made = [values[key] for key in self._keys]
        for place, prepare in self._prepared:
            made[place] = prepare(made[place], self._compiler.connection)
        for place, value in self._fixed:
            made.insert(place, value)
        return made

    @property
    def width(self) -> int:
        """How many values a row has."""
        return len(self._shown)

    @cached_property
    def uuids(self) -> list[int]:
        """Where a row has UUIDs, which JSON has no form for; raises TypeError for what else may be.

        What is neither number nor text nor JSON itself, JSON does not give back.
        """
        fields = [_target(shown.output_field) for shown in self._shown]
        for field in fields:
            if not isinstance(field, (models.UUIDField, *_IN_JSON)):
                raise TypeError(f"{field} cannot be read as JSON.")
        return [place for place, field in enumerate(fields) if isinstance(field, models.UUIDField)]

    def rows(self, fetched: Sequence[Any]) -> list[Any]:
        """Make rows of what the models' fields hold, of what the database gave."""
        return list(self._compiler.apply_converters(fetched, self._converters))


class Select(NamedTuple):
    """A SELECT with its values, before it is run."""

    statement: Statement
    values: Sequence[Any]


def fetch(prepare_select: Select) -> list[Any]:
    """Run a reading and give its rows."""
    statement, values = prepare_select
    with connection().cursor() as cursor:
        cursor.execute(statement.sql, statement.params(values))
        return statement.rows(cursor.fetchall())


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
            compiled = getattr(one, other.attname) is not None
            other.set_cached_value(
                one, other.related_model.from_db(alias(), columns, values) if compiled else None
            )
        made.append(one)
    return made


def select_values(
    model: Model, fields: Fields, *, order_by: Fields = (), limit: int | None = None, **where: Any
) -> list[Any]:
    """Read fields of the rows that meet the conditions. See `select`."""
    return fetch(prepare_select(model, fields, order_by=order_by, limit=limit, **where))


def prepare_select(
    model: Model, fields: Fields, *, order_by: Fields = (), limit: int | None = None, **where: Any
) -> Select:
    """Give what a `select_values` reads, to be run by `fetch`, or together with others."""
    statement = compiled(
        (model, "values", fields, order_by, limit, *_shape(where)),
        lambda: (
            model._base_manager.filter(**_conditions(model, where))
            .order_by(*order_by)
            .values_list(*fields)[:limit]
            .query
        ),
    )
    return Select(statement, _given(where))


def count(model: Model, **where: Any) -> int:
    """Count the rows that meet the conditions."""

    def query() -> Any:
        counted = model._base_manager.filter(**_conditions(model, where)).query
        # As `get_aggregation` does: no column of the model's, and so no groups.
        counted.default_cols = False
        counted.add_annotation(Count("*"), "number")
        return counted

    statement = compiled((model, "count", *_shape(where)), query)
    [(number,)] = fetch(Select(statement, _given(where)))
    return int(number)


def update(model: Model, values: Mapping[str, Any], **where: Any) -> int:
    """Change fields of the rows that meet the conditions; gives how many rows those were.

    A value may be an expression, such as `Now()`. It is part of the shape, so it should be one that
    comes again.
    """
    sql = prepare_update(model, values, **where)
    with connection().cursor() as cursor:
        cursor.execute(sql.whole, sql.params)
        return int(cursor.rowcount)


def prepare_update(model: Model, values: Mapping[str, Any], **where: Any) -> Sql:
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
    statement = compiled((model, "update", *values, *fixed, *_shape(where)), query)
    return Sql(statement.sql, statement.params([*_given(where), *values.values()]))


@cache
def _columns(model: Model) -> Fields:
    return tuple(field.attname for field in model._meta.concrete_fields)


def _conditions(model: Model, where: Mapping[str, Any]) -> dict[str, Any]:
    numbers = itertools.count()
    conditions: dict[str, Any] = {}
    for name, value in where.items():
        field = _field(model, name)
        places = [Placeholder(next(numbers), field, saved=False) for _ in _each(value)]
        conditions[name] = (
            places if isinstance(value, list) else None if value is None else places[0]
        )
    return conditions


def _each(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _given(where: Mapping[str, Any]) -> list[Any]:
    return [each for value in where.values() for each in _each(value)]


def _place(field: Any, value: Any, number: int) -> Any:
    return value if isinstance(value, BaseExpression) else Placeholder(number, field, saved=True)


def _field(model: Model, name: str) -> Any:
    """Find the field that a condition is about, such as another model's: `task__agent`."""
    field: Any = None
    for step in name.split("__"):
        if field is not None and not field.is_relation:
            break  # what is left names a lookup
        options = field.related_model._meta if field else model._meta
        field = options.pk if step == "pk" else options.get_field(step)
    return field


def _target(field: Any) -> Any:
    """Give the field that a foreign key has the values of; any other itself."""
    while field.is_relation:
        field = field.target_field
    return field


def _shape(where: Mapping[str, Any]) -> list[Hashable]:
    # To compare with NULL is other SQL, and so are more values or fewer after IN.
    return [
        (name, len(value) if isinstance(value, list) else value is None)
        for name, value in where.items()
    ]


def _expressions(values: Iterable[Any]) -> list[Any]:
    return [value if isinstance(value, BaseExpression) else None for value in values]


def compiled(shape: Hashable, query: Callable[[], Any]) -> Statement:
    """Return the statement of a shape, compiled from the query where it is asked for first."""
    ours = connection()
    # Kept on the connection's object: it is one thread's, and goes with what was made for it.
    statements: dict[Hashable, Statement] = ours.__dict__.setdefault("_a2a_statements", {})
    if shape not in statements:
        compiler = query().get_compiler(connection=ours)
        made = compiler.as_sql()
        [(sql, params)] = made if isinstance(made, list) else [made]
        statements[shape] = Statement(compiler, sql, params)
    return statements[shape]
