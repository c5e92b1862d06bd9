"""Pages of tasks: ListTasks (section 3.1.4)."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any, Self
from uuid import UUID

from django.db.models import Q

from a2a_app import conf, models, protocol
from a2a_app.database import selects
from a2a_app.database.statements import Literal
from a2a_app.database.values import byte_length
from a2a_app.models.owners import Scope
from a2a_app.store.events import LargeReadError
from a2a_app.store.reads import columns
from a2a_app.store.reads.columns import TASK_FIELDS, TaskRow, task_row
from a2a_app.store.reads.tasks import with_details

DEFAULT_PAGE_SIZE = 50
# The order of a list. The table has an index with this order for each choice of filters.
_NEWEST_FIRST = ("-status_at", "-id")
_MAX_TOTAL = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last task of a page, after which the next one begins, and how many tasks there are."""

    status_at: datetime
    task_id: UUID
    total: int
    """The `totalSize` of the first page. The next ones do not count again."""

    def __str__(self) -> str:
        at = self.status_at.astimezone(UTC).isoformat()
        return base64.urlsafe_b64encode(f"{at} {self.task_id.hex} {self.total}".encode()).decode()

    @classmethod
    def parse(cls, token: str) -> Self:
        """Read a page token; raise InvalidParamsError where it is not one of ours."""
        try:
            at, key, total = base64.urlsafe_b64decode(token.encode()).decode().split(" ")
            cursor = cls(datetime.fromisoformat(at), UUID(key), int(total))
        except (ValueError, binascii.Error):
            cursor = None
        # Ours are in UTC: a time in another zone may have none in the years 1 to 9999.
        if cursor is None or cursor.status_at.tzinfo != UTC or not 0 <= cursor.total <= _MAX_TOTAL:
            violation = protocol.FieldViolation("pageToken", "is not a token that this server gave")
            raise protocol.InvalidParamsError(violations=[violation])
        return cursor


def task_page(
    scope: Scope, params: protocol.ListTasksRequest, *, most: int | None = None
) -> protocol.ListTasksResponse:
    """Return one page of the caller's tasks, newest status first (section 3.1.4).

    The number of queries is the same whatever the page holds, unless its tasks have more than
    PAGE_BYTES: those are read a few at a time, so that the page ends before it has more. What each
    query reads does not depend on how many tasks there are.

    Args:
        scope: The caller's.
        params: Which page.
        most: How many bytes may be read; None: as many as a page may have.

    Raises:
        LargeReadError: More than `most` bytes are to be read. None were.
    """
    cursor = Cursor.parse(params.page_token) if params.page_token else None
    size = params.page_size or DEFAULT_PAGE_SIZE
    matching = _matching(scope, params)
    # One more than asked for tells whether there is another page.
    found = _after(cursor, matching, limit=size + 1) if matching is not None else []
    wanted = found[:size]
    bytes_to_read = _bytes_to_read(wanted)
    if most is not None and bytes_to_read > most:
        raise LargeReadError(bytes_to_read)
    tasks = _fitting_tasks(wanted, params)
    shown = wanted[: len(tasks)]
    more = len(found) > len(shown)
    if cursor is not None:
        total = cursor.total
    else:
        total = _count(matching) if more and matching is not None else len(found)
    next_cursor = Cursor(shown[-1].status_at, shown[-1].pk, total) if more else ""
    return protocol.ListTasksResponse(
        tasks=tasks, next_page_token=str(next_cursor), page_size=size, total_size=total
    )


def _bytes_to_read(rows: Sequence[TaskRow]) -> int:
    """Return how many bytes of tasks a page holds at most while it is made."""
    largest = max((row.size for row in rows), default=0)
    return min(sum(row.size for row in rows), conf.current().page_bytes + largest)


def _fitting_tasks(
    rows: Sequence[TaskRow], params: protocol.ListTasksRequest
) -> list[protocol.Task]:
    """Return the first tasks that have PAGE_BYTES together, as the caller wants them; at least one.

    A task's `size` has all of its messages and artifacts, of which the caller may want few. So it
    says how many are read at once, and the JSON says how many there is room for.
    """
    tasks: list[protocol.Task] = []
    limit = conf.current().page_bytes
    is_large, room = sum(row.size for row in rows) > limit, limit
    while len(tasks) < len(rows):
        some = _first(rows[len(tasks) :], limit)
        for task in with_details(
            some,
            history_length=params.history_length,
            include_artifacts=bool(params.include_artifacts),
        ):
            room -= byte_length(task.to_json()) if is_large else 0
            if room < 0 and tasks:
                return tasks
            tasks.append(task)
        if room <= 0:
            break
    return tasks


def _first(rows: Sequence[TaskRow], limit: int) -> Sequence[TaskRow]:
    """Return the first rows whose tasks have so many bytes together; at least one."""
    return rows[: max(1, sum(total <= limit for total in accumulate(row.size for row in rows)))]


def _matching(scope: Scope, params: protocol.ListTasksRequest) -> dict[str, Any] | None:
    """Return the conditions on tasks; None where no task can meet them."""
    where: dict[str, Any] = dict(scope.tasks())
    if params.context_id:
        named = selects.select_values(
            models.Context, ("pk",), context_id=params.context_id, **scope.tasks()
        )
        if not named:
            return None
        # Its tasks are the owner's, as it is. With the owner as a condition too, or with a join,
        # PostgreSQL might read all of the owner's tasks.
        where = {"context": named[0][0]}
    if params.status is not protocol.TaskState.UNSPECIFIED:
        where["state"] = Literal(params.status.value)
    if params.status_timestamp_after is not None:
        where["status_at__gte"] = params.status_timestamp_after
    return where


def _count(where: Mapping[str, Any]) -> int:
    limit = conf.current().total_size_limit
    order = _NEWEST_FIRST if limit else ()
    return selects.count(models.Task, order_by=order, limit=limit, **where)


def _after(cursor: Cursor | None, where: Mapping[str, Any], *, limit: int) -> list[TaskRow]:
    if cursor is None:
        return columns.tasks(order_by=_NEWEST_FIRST, limit=limit, **where)
    same_time = Q(status_at=cursor.status_at, id__lt=cursor.task_id)
    # The second condition follows from the first. It is there for the index.
    older = Q(status_at__lt=cursor.status_at) | same_time
    tasks = models.Task.objects.filter(older, status_at__lte=cursor.status_at, **where)
    rows = tasks.order_by(*_NEWEST_FIRST).values_list(*TASK_FIELDS)
    return [task_row(row) for row in rows[:limit]]
