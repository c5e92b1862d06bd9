"""Read-only: a part of the code during which no connection of the process writes."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections
from django.db.backends.signals import connection_created

_READS = re.compile(
    r"\s*(SELECT|WITH|VALUES|EXPLAIN|SHOW|SET|PRAGMA|BEGIN|SAVEPOINT|RELEASE|ROLLBACK|COMMIT)\b",
    re.IGNORECASE,
)
# A WITH may have parts that write.
_WRITES = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE)\s+(INTO|FROM|\"|\w+\s+SET)", re.IGNORECASE)
_SHOWN = 200


class WriteRefusedError(RuntimeError):
    """A statement would write, where nothing may."""


class _Guard:
    is_on = True

    def __call__(
        self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any
    ) -> Any:
        text = str(sql)
        if self.is_on and (not _READS.match(text) or _WRITES.search(text)):
            raise WriteRefusedError(f"Nothing may be written here: {text[:_SHOWN]}")
        return execute(sql, params, many, context)


@contextmanager
def read_only() -> Iterator[None]:
    """Refuse, inside the `with`, every statement that writes, over connections of all threads.

    Connections that other threads have already are not guarded: close them before.
    """
    guard = _Guard()

    def watch(*, connection: Any, **_: Any) -> None:
        connection.execute_wrappers.append(guard)

    connection_created.connect(watch)
    mine = connections.all(initialized_only=True)
    for connection in mine:
        connection.execute_wrappers.append(guard)
    try:
        yield
    finally:
        guard.is_on = False  # on connections of other threads it stays
        connection_created.disconnect(watch)
        for connection in mine:
            connection.execute_wrappers.remove(guard)
