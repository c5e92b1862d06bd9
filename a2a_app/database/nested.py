"""Nested: a row, and the rows that belong to it, read by one statement where that works.

On PostgreSQL the rows of each further reading come as one column of the first, an array of JSON: a
statement less is a round trip less, and rows that come as a text cost Python less than rows.
"""

import json
from functools import lru_cache
from typing import Any
from uuid import UUID

from a2a_app.database import connection
from a2a_app.database.statements import Select, fetch


def fetch_with_children(one: Select, *others: Select) -> tuple[Any, list[list[Any]]] | None:
    """Read a row, and where there is one, the rows of the others; None where there is none.

    Without the row nothing of the others is read, so what decides who may see it decides for all.
    On PostgreSQL they are all of one moment. Elsewhere what is stored meanwhile may be among the
    others.
    """
    ours = connection()
    if ours.vendor != "postgresql":
        found = fetch(one)
        return (found[0], [fetch(other) for other in others]) if found else None
    sql = _sql(
        one.statement.width,
        one.statement.sql,
        *[(other.statement.width, other.statement.sql) for other in others],
    )
    params = [each for it in (*others, one) for each in it.statement.params(it.values)]
    with ours.cursor() as cursor:
        cursor.execute(sql, params)
        row = cursor.fetchone()
    if row is None:
        return None
    own = one.statement.width
    [whole] = one.statement.rows([row[:own]])
    texts = zip(others, row[own:], strict=True)
    return whole, [_rows(other, text) for other, text in texts]


@lru_cache(maxsize=64)
def _sql(width: int, one: str, *others: tuple[int, str]) -> str:
    # Each column has a name of its own: two tables may have columns of the same.
    nested = "".join(
        f", (SELECT json_agg(json_build_array({_names(columns)}))::text "  # noqa: S608  # no values
        f"FROM ({sql}) AS r({_names(columns)}))"
        for columns, sql in others
    )
    return f"SELECT q.*{nested} FROM ({one}) AS q({_names(width)})"  # noqa: S608  # no values


def _names(columns: int) -> str:
    return ", ".join([f"c{number}" for number in range(columns)])


def _rows(reading: Select, text: str | None) -> list[Any]:
    rows: list[list[Any]] = json.loads(text) if text else []
    for place in reading.statement.uuids:
        for row in rows:
            row[place] = row[place] and UUID(row[place])
    return rows
