"""Values: times on the database's clock and ours, keys, and texts and JSON that databases keep.

A lease is measured on the database's clock. What clients see is on the clock of the process.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

from django.db.models import ExpressionWrapper, Func, IntegerField, JSONField, TextField
from django.db.models.expressions import BaseExpression, Combinable
from django.db.models.fields import DateTimeField
from django.db.models.functions import Now
from django.db.models.lookups import In
from django.db.models.sql import Query
from django.utils import timezone
from pydantic_core import from_json, to_json
from uuid_utils.compat import uuid7

from a2a_app.database.transactions import connection

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Before any time of ours. A time after it is not null, and so is found in an index on SQLite."""


@lru_cache(maxsize=64)
def from_now(delta: timedelta) -> Combinable:
    """Return the time so much later, or earlier, than the statement that asks.

    It is on the database's clock, the one clock that all processes share. An equal delta gives the
    same object, so that a statement with it is compiled once.
    """
    return ExpressionWrapper(Now() + delta, output_field=DateTimeField())


def read_time() -> datetime:
    """Ask the database for the time on its clock."""
    query = Query(None)
    query.add_annotation(Now(), "now")
    [(now,)] = query.get_compiler(connection=connection()).results_iter()
    return cast("datetime", now)


def current_time() -> datetime:
    """Return the time on this process's clock, to the millisecond.

    Clients get no more. A row that had more digits would be sorted and filtered by a time that is
    not the one they see.
    """
    exact = timezone.now()
    return exact.replace(microsecond=exact.microsecond // 1000 * 1000)


def escape_unstorable(text: str) -> str:
    r"""Return a text with escapes for what no database or no encoding takes.

    These are the character NUL, and the halves of surrogate pairs, by which Python represents
    bytes that are not text.
    """
    return text.encode(errors="backslashreplace").decode().replace("\x00", r"\x00")


def byte_length(text: str) -> int:
    """Return how many bytes a text has in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


class ByteLength(Func):
    """How many bytes a column's text has in UTF-8. PostgreSQL knows it without reading the text."""

    function = "OCTET_LENGTH"
    output_field = IntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Return the SQL for versions before 3.43, which have no such function."""
        template = "LENGTH(CAST(%(expressions)s AS BLOB))"
        return self.as_sql(compiler, connection, template=template, **context)


def new_key() -> UUID:
    """Return a UUID (version 7). Later ones are greater, so that an index grows only at its end."""
    return uuid7()


def made_at(key: UUID) -> float:
    """Return when a key of `new_key` was made, in seconds since 1970."""
    return (key.int >> 80) / 1000


def first_key_at(moment: datetime) -> UUID:
    """Return the least key that `new_key` may return at a moment or later."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


class KeyEnd(Func):
    """The last 12 digits of a key, by which people tell keys apart: their beginning is the time.

    The number of digits stands in the statement's text. A parameter would match no index.
    """

    output_field = TextField()
    template = "RIGHT(CAST(%(expressions)s AS text), 12)"

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Return the SQL for SQLite, where a key is its digits."""
        template = "SUBSTR(%(expressions)s, -12)"
        return self.as_sql(compiler, connection, template=template, **context)


def key_array(keys: Iterable[UUID]) -> str:
    """Return keys as the text of PostgreSQL's `uuid[]`.

    A parameter for each key, as Django makes it, takes longer than what PostgreSQL does with them.
    """
    return f"{{{','.join([key.hex for key in keys])}}}"


class IsAmong(In):
    """Whether a column of keys has one of some keys: `rows.filter(IsAmong(F("pk"), keys))`."""

    def get_prep_lookup(self) -> list[UUID]:
        """Return the keys, which need no preparation."""
        return list(self.rhs)

    def as_postgresql(self, compiler: Any, connection: Any) -> Any:
        """Return the SQL for PostgreSQL, which is the same for any number of keys."""
        column, parameters = self.process_lhs(compiler, connection)
        return f"{column} = ANY(%s::uuid[])", [*parameters, key_array(self.rhs)]


class VerbatimJSONField(JSONField):
    """A JSON object or array that is read as it was stored, in the text that the log has for it.

    PostgreSQL's `jsonb`, which Django takes, keeps numbers as decimals: `1e308` comes back as a
    number of 309 digits, `-0.0` as `0.0`, `1e22` as an integer, and keys in another order. Its
    `json` keeps the text, and has no equality. A condition that looks into it needs a cast:
    `annotate(said=Cast("metadata", JSONField())).filter(said__key=1)`.
    """

    def db_type(self, connection: Any) -> str | None:
        """Return the column's type: one that keeps the text."""
        return "json" if connection.vendor == "postgresql" else super().db_type(connection)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        """Return the text of a value, as pydantic writes it in events too."""
        if value is None or isinstance(value, BaseExpression):
            return value
        return to_json(value).decode()

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """Return the value of what the database gave: its text, or what its driver made of it.

        A driver may have made the value already. An object or an array is then no text.
        """
        return from_json(value) if isinstance(value, str) else value
