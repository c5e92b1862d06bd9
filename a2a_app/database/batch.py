"""Batch: statements that do not need each other's results, in one round trip where that works.

A round trip costs more than what most statements do: the thread waits, and then waits again for its
turn to compute. PostgreSQL runs many statements as parts of one. They all see the rows as they were
before, so none may change what another one has inserted or changed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from a2a_app.database import atomic, connection, statements
from a2a_app.database.inserts import Row, prepare_inserts
from a2a_app.database.statements import Fields, Model, Sql

# The first part of a statement has found a row.
FOUND = "EXISTS (SELECT 1 FROM s0)"


class Batch:
    """Collects statements, and runs them in the order in which they were added, or as one."""

    def __init__(self) -> None:
        self._parts: list[tuple[Sql, Exception | None]] = []

    def insert(
        self, model: Model, rows: Sequence[Row], *, overwrite: Fields = (), unique: Fields = ()
    ) -> None:
        """Insert rows. See `inserts.insert`."""
        for sql in prepare_inserts(model, rows, overwrite=overwrite, unique=unique):
            self._parts.append((sql, None))

    def update(
        self,
        model: Model,
        values: Mapping[str, Any],
        *,
        or_raise: Exception | None = None,
        **where: Any,
    ) -> None:
        """Change fields of the rows that meet the conditions. See `statements.update`.

        Args:
            model: Whose rows.
            values: What they get.
            or_raise: Raised by `run` where there is no such row. Then nothing has happened, or the
                transaction is to be given up: see `is_atomic`.
            where: The conditions.
        """
        self._parts.append((statements.prepare_update(model, values, **where), or_raise))

    @property
    def is_atomic(self) -> bool:
        """Whether all of it happens or nothing, without a transaction around it."""
        guards = [error for _, error in self._parts if error is not None]
        return _runs_together() and len(guards) <= 1

    def run(self) -> None:
        """Run what was collected, and forget it."""
        parts, self._parts = self._parts, []
        if _runs_together():
            parts = _together(parts)
        with connection().cursor() as cursor:
            for sql, error in parts:
                cursor.execute(sql.whole, sql.params)
                if error is not None and not cursor.rowcount:
                    raise error


def run_if(condition: Sql, then: Sql) -> tuple[int, int]:
    """Change a row, and where there was one, another; gives how many each has changed.

    On PostgreSQL both are one statement, and may both see rows as they were before. Elsewhere they
    are one transaction.
    """
    if not _runs_together():
        with atomic(), connection().cursor() as cursor:
            cursor.execute(condition.whole, condition.params)
            if not cursor.rowcount:
                return 0, 0
            changed = int(cursor.rowcount)
            cursor.execute(then.whole, then.params)
            return changed, int(cursor.rowcount)
    counted = "SELECT (SELECT count(*) FROM s0), (SELECT count(*) FROM s1)"
    both = _with(
        [
            (f"{condition.whole} RETURNING 1", condition.params),
            (f"{then.where(FOUND)} RETURNING 1", then.params),
        ],
        counted,
    )
    with connection().cursor() as cursor:
        cursor.execute(both.text, both.params)
        one, other = cursor.fetchone()
        return one, other


def _runs_together() -> bool:
    return connection().vendor == "postgresql"


def _together(
    parts: Sequence[tuple[Sql, Exception | None]],
) -> list[tuple[Sql, Exception | None]]:
    """Make one statement of all, and of what must find a row before others run one of its own.

    The last of those is the first part of the one statement, and the rest does nothing without it.
    """
    guards = [part for part in parts if part[1] is not None]
    others = [sql for sql, error in parts if error is None]
    if not others:
        return guards
    if not guards:
        return [(_with([(sql.whole, sql.params) for sql in others], "SELECT 1"), None)]
    *first, (guard, error) = guards
    guarded = [(sql.where(FOUND), sql.params) for sql in others]
    texts = [(f"{guard.whole} RETURNING 1", guard.params), *guarded]
    return [*first, (_with(texts, "SELECT 1 FROM s0"), error)]


def _with(parts: Sequence[tuple[str, Sequence[Any]]], last: str) -> Sql:
    named = ", ".join([f"s{number} AS ({text})" for number, (text, _) in enumerate(parts)])
    return Sql(f"WITH {named} {last}", [value for _, params in parts for value in params])
