"""The table in which the official SDK's `DatabaseTaskStore` has its tasks."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from django.core.management.base import CommandError

from a2a_app.agents.content import clean
from a2a_app.protocol import Task

try:
    from a2a.compat.v0_3.model_conversions import compat_task_model_to_core
    from google.protobuf import json_format
    from sqlalchemy import JSON, DateTime, String, column, inspect, select, table
    from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
except ImportError as error:
    raise ImportError(
        "a2a_import_sdk needs the official SDK with its database: "
        "pip install 'django-agent2agent[sdk]' 'a2a-sdk[sqlite]', or 'a2a-sdk[postgresql]'"
    ) from error

# The columns of 1.x. Tables of 0.3 lack the last three.
_COLUMNS: dict[str, Any] = {
    "id": String, "context_id": String, "status": JSON, "artifacts": JSON, "history": JSON,
    "metadata": JSON, "owner": String, "last_updated": DateTime, "protocol_version": String,
}  # fmt: skip  # as one table


class SDKTable:
    """The tasks of one table, in the order of their ids."""

    def __init__(self, connection: AsyncConnection, name: str, columns: list[str]) -> None:
        self._connection = connection
        self._table = table(name, *(column(each, _COLUMNS[each]) for each in columns))

    @classmethod
    @asynccontextmanager
    async def at(cls, url: str, name: str) -> AsyncIterator["SDKTable"]:
        """Open a table by the URL of the SDK's engine; raise CommandError where there is none."""
        async with AsyncExitStack() as stack:
            try:
                engine = create_async_engine(url)
                stack.push_async_callback(engine.dispose)
                connection = await stack.enter_async_context(engine.connect())
                there = await connection.run_sync(lambda sync: _columns_in(sync, name))
            except Exception as error:  # each driver has errors of its own, if there is one
                raise CommandError(f"The table {name!r} cannot be opened: {error!r}.") from error
            yield cls(connection, name, there)

    async def rows(self, size: int) -> AsyncIterator[list[SimpleNamespace]]:
        """Yield batches of rows, each row with all columns of 1.x."""
        last = ""
        while True:
            key = self._table.c.id
            query = select(self._table).where(key > last).order_by(key).limit(size)
            found = (await self._connection.execute(query)).mappings().all()
            if not found:
                return
            yield [SimpleNamespace(**{**dict.fromkeys(_COLUMNS), **each}) for each in found]
            last = found[-1]["id"]


def task_of(row: SimpleNamespace) -> Task:
    """Return the task of a row of either shape; raise ValueError or the like where it is none."""
    if row.protocol_version == "1.0":
        said = {
            "id": row.id,
            "contextId": row.context_id,
            "status": row.status,
            "artifacts": row.artifacts or [],
            "history": row.history or [],
            "metadata": row.metadata or {},
        }
    else:
        row.task_metadata = row.metadata
        said = json_format.MessageToDict(compat_task_model_to_core(row))  # type: ignore[arg-type]  # it has what is read
    return Task.from_dict(clean(said, lambda: None))


def id_of(row: SimpleNamespace) -> UUID:
    """Return the id that the task gets: its own, or always the same one where that is no UUID."""
    try:
        return UUID(row.id)
    except ValueError:
        return uuid5(NAMESPACE_URL, f"a2a-sdk:{row.id}")


def time_of(row: SimpleNamespace, task: Task) -> datetime:
    """Return when a task got its status."""
    at = task.status.timestamp or row.last_updated
    if at is None:
        return datetime.now(UTC)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _columns_in(connection: Any, name: str) -> list[str]:
    there = {each["name"] for each in inspect(connection).get_columns(name)}
    return [each for each in _COLUMNS if each in there]
