"""Values: times on the database's clock and on ours, texts that every database stores, and keys.

A lease is measured on the database's clock. What clients see is on the clock of the process.
"""

from datetime import datetime, timedelta
from functools import lru_cache
from typing import cast
from uuid import UUID

from django.db.models import ExpressionWrapper
from django.db.models.expressions import Combinable
from django.db.models.fields import DateTimeField
from django.db.models.functions import Now
from django.db.models.sql import Query
from django.utils import timezone
from uuid_utils.compat import uuid7

from a2a_app.database.bridge import connection


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


def new_key() -> UUID:
    """Return a UUID (version 7). Later ones are greater, so that an index grows only at its end."""
    return uuid7()
