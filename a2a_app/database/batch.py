"""Batch: statements that do not need each other's results, in one round trip where that works.

A round trip costs more than what most statements do: the thread waits for the database, and then
waits again for its turn to compute. PostgreSQL runs many statements as parts of one. All of them
see the rows as they were before, so none may change what another one has inserted or changed.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from a2a_app.database.inserts import Row, prepare_inserts
from a2a_app.database.statements import Fields, Model, Write, prepare_update
from a2a_app.database.transactions import atomic, connection

# A statement, and the error to raise where it changes no row; None: it need not change any.
Guarded: TypeAlias = tuple[Write, Exception | None]

# The first part of a statement has found a row.
FOUND = "EXISTS (SELECT 1 FROM s0)"


class Batch:
    """Collects statements, and runs them in the order in which they were added, or as one."""

    def __init__(self) -> None:
        self._writes: list[Guarded] = []
        self._call: Write | None = None
        self._condition: Guarded | None = None

    def insert(
        self,
        model: Model,
        rows: Sequence[Row],
        *,
        overwrite: Fields = (),
        unique: Fields = (),
        adds: bool = False,
    ) -> None:
        """Add the insertion of rows. See `inserts.insert`."""
        writes = prepare_inserts(model, rows, overwrite=overwrite, unique=unique, adds=adds)
        self._writes += [(write, None) for write in writes]

    def update(
        self,
        model: Model,
        values: Mapping[str, Any],
        *,
        or_raise: Exception | None = None,
        **where: Any,
    ) -> None:
        """Add a change of fields of the rows that meet the conditions. See `statements.update`.

        Args:
            model: Whose rows.
            values: The new values.
            or_raise: Raised by `run` where there is no such row. Then nothing has happened, or the
                transaction has to be given up: see `is_atomic`.
            where: The conditions.
        """
        self._writes.append((prepare_update(model, values, **where), or_raise))

    def call(self, select: Write) -> None:
        """Set the SELECT that calls a function which writes. It comes last, and there is one only.

        PostgreSQL does not run a SELECT within a statement whose rows nobody wants.
        """
        self._call = select

    def require(self, condition: Write, error: Exception) -> None:
        """Set what must be true before anything is changed; `run` raises the error if it is not.

        PostgreSQL sees the rows as they are before the statement. Elsewhere nobody is asked: the
        caller finds out in the same transaction.

        Args:
            condition: A condition of SQL, with its values.
            error: Raised where it is not met, unless an update of the batch has an error of its
                own.
        """
        if _runs_as_one():
            self._condition = condition, error

    @property
    def runs_as_one(self) -> bool:
        """Whether it all becomes one statement, as on PostgreSQL."""
        return _runs_as_one()

    @property
    def is_atomic(self) -> bool:
        """Whether all of it happens or nothing, without a transaction around it."""
        guards = [error for _, error in self._writes if error is not None]
        return _runs_as_one() and len(guards) <= 1

    def run(self) -> None:
        """Run what was collected, and forget it; raise what `or_raise` says."""
        writes, self._writes = self._writes, []
        call, self._call = self._call, None
        if _runs_as_one():
            writes = _as_one(writes, call, self._condition)
        elif call is not None:
            writes.append((call, None))
        with connection().cursor() as cursor:
            for write, error in writes:
                cursor.execute(write.sql, write.params)
                if error is not None and not cursor.rowcount:
                    raise error


def run_if(condition: Write, then: Write) -> tuple[int, int]:
    """Change a row, and another one where the first was there.

    On PostgreSQL both are one statement, and both may see the rows as they were before. Elsewhere
    they are one transaction.

    Returns:
        How many rows each of them has changed.
    """
    if not _runs_as_one():
        with atomic(), connection().cursor() as cursor:
            cursor.execute(condition.sql, condition.params)
            if not cursor.rowcount:
                return 0, 0
            changed = int(cursor.rowcount)
            cursor.execute(then.sql, then.params)
            return changed, int(cursor.rowcount)
    both = _with(
        [
            (f"{condition.sql} RETURNING 1", condition.params),
            (f"{then.sql_if(FOUND)} RETURNING 1", then.params),
        ],
        "SELECT (SELECT count(*) FROM s0), (SELECT count(*) FROM s1)",
    )
    with connection().cursor() as cursor:
        cursor.execute(both.sql, both.params)
        first, second = cursor.fetchone()
        return first, second


def _runs_as_one() -> bool:
    return connection().vendor == "postgresql"


def _as_one(
    writes: Sequence[Guarded], call: Write | None, condition: Guarded | None
) -> list[Guarded]:
    """Make one statement of all that may run as one.

    Of the statements that must find a row, each but the last runs first and on its own. The last
    is the first part of the one statement, whose other parts do nothing where it finds no row.
    """
    guards = [guarded for guarded in writes if guarded[1] is not None]
    others = [write for write, error in writes if error is None]
    if not others and call is None:
        return guards
    last = call or Write("SELECT 1", ())
    if guards:
        *first, (guard, error) = guards
        text = guard.sql_if(condition[0].text) if condition else guard.sql
        params = [*guard.params, *(condition[0].params if condition else ())]
        found = f"{text} RETURNING 1", params
    elif condition:
        first, (wanted, error) = [], condition
        found = f"SELECT 1 WHERE {wanted.text}", [*wanted.params]
    else:
        return [(_with([(each.sql, each.params) for each in others], last.sql, last.params), None)]
    parts = [found, *[(write.sql_if(FOUND), write.params) for write in others]]
    return [*first, (_with(parts, last.sql_if(FOUND), last.params), error)]


def _with(
    parts: Sequence[tuple[str, Sequence[Any]]], last: str, params: Sequence[Any] = ()
) -> Write:
    named = ", ".join([f"s{number} AS ({text})" for number, (text, _) in enumerate(parts)])
    return Write(
        f"WITH {named} {last}", [param for _, given in parts for param in given] + [*params]
    )
