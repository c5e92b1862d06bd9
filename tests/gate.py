"""A gate that holds up a write, so that a test does something meanwhile."""

import threading
from typing import Any

from a2a_app import database

SECONDS = 20


class Gate:
    """Holds up each change of a row before it locks the row.

    It is for tests with `DATABASE_THREADS` 1. With more, the next write may have another connection
    than the one that the gate is on.
    """

    def __init__(self) -> None:
        self.reached, self.open = threading.Event(), threading.Event()

    def __call__(self, execute: Any, sql: str, *rest: Any) -> Any:
        # SQLite locks all there is at the beginning of a transaction.
        if "UPDATE" in sql or sql.startswith("BEGIN"):
            self.reached.set()
            self.open.wait(SECONDS)
        return execute(sql, *rest)

    async def put(self) -> None:
        """Put it on the connection of the one thread for the database."""
        await database.run(lambda: database.connection().execute_wrappers.append(self))
