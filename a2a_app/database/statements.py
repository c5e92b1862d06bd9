"""Statements: the SQL of Django's own compiler, made once for each shape and run with new values.

Django takes several times as long to write a statement as the database takes to run it. A message
or an event always needs statements of the same few shapes: these fields of this model, under these
conditions. A shape is compiled when a connection first needs it, and after that only its values
change. The SQL is the same that a queryset sends, on every database.
"""

import itertools
import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

from django.db import models
from django.db.models.expressions import BaseExpression, Expression
from django.db.models.sql import UpdateQuery

from a2a_app.database.transactions import connection

Model: TypeAlias = type[models.Model]
Fields: TypeAlias = tuple[str, ...]
S = TypeVar("S")

# Fields whose values psycopg takes as they are.
_AS_THEY_ARE = (
    models.BooleanField,
    models.CharField,
    models.DateTimeField,
    models.TextField,
    models.UUIDField,
)


class Placeholder(Expression):
    """The place of a value that is not known when its statement is compiled."""

    def __init__(self, key: int | str, field: Any, *, saved: bool) -> None:
        """Make the place of one field's value.

        Args:
            key: What finds the value among those that the statement is run with.
            field: The field.
            saved: Whether the value is stored in the field, or compared with what is stored.
        """
        super().__init__()
        self.key = key
        # A field of the project's own is another type, and may prepare values in its own way.
        plain = type(target_field(field)) in _AS_THEY_ARE and connection().vendor == "postgresql"
        prepare = field.get_db_prep_save if saved else field.get_db_prep_value
        self.prepare: Callable[..., Any] | None = None if plain else prepare
        """Make a value into what the database takes; None: the value is that already."""

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """Return a placeholder of the database's, with this object as its parameter."""
        return "%s", [self]


class Literal(Expression):
    """A value that stands in the statement's text, for a column of which some values are rare.

    The plan of a prepared statement is for any value. Where most rows have the same one, PostgreSQL
    would take it for that one, and read them all to find that none has the other.
    """

    def __init__(self, text: str) -> None:
        """Make a literal of a word or of an empty text; raise ValueError for anything else."""
        super().__init__(output_field=models.CharField())
        if not re.fullmatch(r"\w*", text, re.ASCII):
            raise ValueError(f"{text!r} is no word.")
        self.text = text

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """Return the word in quotation marks."""
        return f"'{self.text}'", []


class Parameters:
    """Where the values of a compiled statement go, and how each is prepared for the database."""

    def __init__(self, params: Iterable[Any]) -> None:
        """Read the parameters that a compiler gave: placeholders, and values that are fixed."""
        params = tuple(params)
        places = [each for each in params if isinstance(each, Placeholder)]
        self._connection = connection()
        self._keys = [place.key for place in places]
        self._prepared = [(i, each.prepare) for i, each in enumerate(places) if each.prepare]
        self._fixed = [(i, p) for i, p in enumerate(params) if not isinstance(p, Placeholder)]

    def fill(self, values: Any) -> list[Any]:
        """Return the parameters with values in their places, as the database takes them.

        Args:
            values: A sequence or a mapping. It has a value for each placeholder's key.
        """
        filled = [values[key] for key in self._keys]
        for place, prepare in self._prepared:
            filled[place] = prepare(filled[place], self._connection)
        for place, value in self._fixed:
            filled.insert(place, value)
        return filled


class Write(NamedTuple):
    """A statement that writes, with its values, before it is run."""

    text: str
    params: Sequence[Any]
    has_where: bool = False
    """Whether the text ends with conditions."""
    suffix: str = ""
    """The rest of the statement, which comes after any condition."""

    @property
    def sql(self) -> str:
        """The statement as it is run on its own."""
        return self.text + self.suffix

    def sql_if(self, condition: str) -> str:
        """Return the statement with one more condition; of an INSERT, one that selects its rows."""
        return f"{self.text} {'AND' if self.has_where else 'WHERE'} {condition}{self.suffix}"


class _CompiledUpdate(NamedTuple):
    sql: str
    parameters: Parameters


def update(model: Model, values: Mapping[str, Any], **where: Any) -> int:
    """Change fields of the rows that meet the conditions; send no signals.

    Args:
        model: Whose rows.
        values: The new values. One may be an expression, such as `Now()`. It is part of the shape,
            so it should be one that comes again.
        where: The conditions, written as for `filter`.

    Returns:
        How many rows were changed.
    """
    write = prepare_update(model, values, **where)
    with connection().cursor() as cursor:
        cursor.execute(write.sql, write.params)
        return int(cursor.rowcount)


def prepare_update(model: Model, values: Mapping[str, Any], **where: Any) -> Write:
    """Return the statement of an `update`, to be run in a batch."""
    fixed = [value if isinstance(value, BaseExpression) else None for value in values.values()]
    statement = compiled(
        (model, "update", *values, *fixed, *shape_of(where)),
        lambda: _compile_update(model, values, where),
    )
    params = statement.parameters.fill([*values_of(where), *values.values()])
    return Write(statement.sql, params, has_where=bool(where))


def _compile_update(
    model: Model, values: Mapping[str, Any], where: Mapping[str, Any]
) -> _CompiledUpdate:
    query: Any = model._base_manager.filter(**placeholders(model, where)).query.chain(UpdateQuery)
    numbers = itertools.count(len(values_of(where)))
    query.add_update_values(
        {
            name: value
            if isinstance(value, BaseExpression)
            else Placeholder(number, model._meta.get_field(name), saved=True)
            for number, (name, value) in zip(numbers, values.items(), strict=False)
        }
    )
    sql, params = query.get_compiler(connection=connection()).as_sql()
    return _CompiledUpdate(sql, Parameters(params))


def compiled(shape: Hashable, compile_statement: Callable[[], S]) -> S:
    """Return what was compiled for a shape on this connection; compile it the first time."""
    # Cached on the connection's object: it is one thread's, and goes with what was made for it.
    statements: dict[Hashable, S] = connection().__dict__.setdefault("_a2a_statements", {})
    found = statements.get(shape)
    if found is None:
        found = statements[shape] = compile_statement()
    return found


def placeholders(model: Model, where: Mapping[str, Any]) -> dict[str, Any]:
    """Return conditions with a placeholder for each of their values, numbered from 0."""
    numbers = itertools.count()
    conditions: dict[str, Any] = {}
    for name, value in where.items():
        if isinstance(value, Literal):
            conditions[name] = value
            continue
        field = _condition_field(model, name)
        places = [Placeholder(next(numbers), field, saved=False) for _ in _as_list(value)]
        conditions[name] = (
            places if isinstance(value, list) else None if value is None else places[0]
        )
    return conditions


def values_of(where: Mapping[str, Any]) -> list[Any]:
    """Return the values of conditions, in the order of their placeholders."""
    given = [value for value in where.values() if not isinstance(value, Literal)]
    return [each for value in given for each in _as_list(value)]


def shape_of(where: Mapping[str, Any]) -> list[Hashable]:
    """Return what of conditions is part of a statement's text."""
    return [(name, _shape_of_value(value)) for name, value in where.items()]


def _shape_of_value(value: Any) -> Hashable:
    # To compare with NULL is other SQL, and so are more values or fewer after IN.
    if isinstance(value, Literal):
        return value.text
    return len(value) if isinstance(value, list) else value is None


def target_field(field: Any) -> Any:
    """Return the field whose values a foreign key has; any other field itself."""
    while field.is_relation:
        field = field.target_field
    return field


def _condition_field(model: Model, name: str) -> Any:
    """Return the field that a condition is about. It may be another model's: `task__agent`."""
    field: Any = None
    for step in name.split("__"):
        if field is not None and not field.is_relation:
            break  # what is left names a lookup
        options = field.related_model._meta if field else model._meta
        field = options.pk if step == "pk" else options.get_field(step)
    return field


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
