"""Pages of tasks: ListTasks (section 3.1.4)."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID

from django.db.models import Q

from a2a_app import models, protocol
from a2a_app.database import selects
from a2a_app.models.owners import Scope
from a2a_app.store.reads import columns
from a2a_app.store.reads.columns import TASK_FIELDS, TaskRow, task_row
from a2a_app.store.reads.tasks import with_details

DEFAULT_PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last task of a page. The next page begins after it."""

    status_at: datetime
    task_id: UUID

    def __str__(self) -> str:
        text = f"{self.status_at.astimezone(UTC).isoformat()} {self.task_id.hex}"
        return base64.urlsafe_b64encode(text.encode()).decode()

    @classmethod
    def parse(cls, token: str) -> Self:
        """Read a page token; raise InvalidParamsError where it is not one of ours."""
        try:
            at, key = base64.urlsafe_b64decode(token.encode()).decode().split(" ")
            cursor = cls(datetime.fromisoformat(at), UUID(key))
        except (ValueError, binascii.Error):
            cursor = None
        # Ours are in UTC: a time in another zone may have none in the years 1 to 9999.
        if cursor is None or cursor.status_at.tzinfo != UTC:
            violation = protocol.FieldViolation("pageToken", "is not a token that this server gave")
            raise protocol.InvalidParamsError(violations=[violation])
        return cursor


def task_page(scope: Scope, params: protocol.ListTasksRequest) -> protocol.ListTasksResponse:
    """Return one page of the caller's tasks, newest status first (section 3.1.4).

    The number of queries is the same whatever the page holds.
    """
    matching = _matching(scope, params)
    size = params.page_size or DEFAULT_PAGE_SIZE
    # One more than asked for tells whether there is another page.
    found = _newest_first(matching, params.page_token, limit=size + 1)
    columns = found[:size]
    more = len(found) > size
    tasks = with_details(
        columns,
        history_length=params.history_length,
        include_artifacts=bool(params.include_artifacts),
    )
    return protocol.ListTasksResponse(
        tasks=tasks,
        next_page_token=str(Cursor(columns[-1].status_at, columns[-1].pk)) if more else "",
        page_size=size,
        total_size=selects.count(models.Task, **matching),
    )


def _matching(scope: Scope, params: protocol.ListTasksRequest) -> dict[str, Any]:
    where: dict[str, Any] = dict(scope.tasks())
    if params.context_id:
        where["context__context_id"] = params.context_id
    if params.status is not protocol.TaskState.UNSPECIFIED:
        where["state"] = params.status.value
    if params.status_timestamp_after is not None:
        where["status_at__gte"] = params.status_timestamp_after
    return where


def _newest_first(where: Mapping[str, Any], token: str, *, limit: int) -> list[TaskRow]:
    order = ("-status_at", "-id")
    if not token:
        return columns.tasks(order_by=order, limit=limit, **where)
    last = Cursor.parse(token)
    same_time = Q(status_at=last.status_at, id__lt=last.task_id)
    # The second condition follows from the first. It is there for the index.
    older = Q(status_at__lt=last.status_at) | same_time
    tasks = models.Task.objects.filter(older, status_at__lte=last.status_at, **where)
    return [task_row(row) for row in tasks.order_by(*order).values_list(*TASK_FIELDS)[:limit]]
