"""Batch: statements that do not need each other's results, in one round trip where that works.

A round trip costs more than what most statements do: the thread waits, and then waits again for its
turn to compute. PostgreSQL runs many statements as parts of one. They all see the rows as they were
before, so none may change what another one has inserted or changed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connections, models

from a2a_app.store import statements
from a2a_app.store.database import alias
from a2a_app.store.statements import Fields, Model, Sql


class Batch:
    """Collects statements, and runs them in the order in which they were added, or as one."""

    def __init__(self) -> None:
        self._parts: list[tuple[Sql, Exception | None]] = []

    def insert(
        self, rows: Sequence[models.Model], *, overwrite: Fields = (), unique: Fields = ()
    ) -> None:
        """Insert rows of one model. See `statements.insert`."""
        for sql in statements.insertion(rows, overwrite=overwrite, unique=unique):
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
            or_raise: Raised by `run` where there is no such row, and then the transaction is to be
                given up. Where the others run as one, this runs before them.
            where: The conditions.
        """
        self._parts.append((statements.updating(model, values, **where), or_raise))

    def run(self) -> None:
        """Run what was collected, and forget it."""
        parts, self._parts = self._parts, []
        if connections[alias()].vendor == "postgresql":
            parts = _together(parts)
        with connections[alias()].cursor() as cursor:
            for (sql, params), error in parts:
                cursor.execute(sql, params)
                if error is not None and not cursor.rowcount:
                    raise error


def _together(
    parts: Sequence[tuple[Sql, Exception | None]],
) -> list[tuple[Sql, Exception | None]]:
    """Put those first whose rows must be there, and make one statement of the others."""
    guards = [part for part in parts if part[1] is not None]
    others = [part for part in parts if part[1] is None]
    if len(others) < 2:
        return [*guards, *others]
    named = ", ".join([f"s{number} AS ({sql})" for number, ((sql, _), _) in enumerate(others)])
    params = [value for (_, given), _ in others for value in given]
    return [*guards, ((f"WITH {named} SELECT 1", params), None)]
