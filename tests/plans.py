"""Plans: what a database reads to answer each statement that the running code has sent it."""

import itertools
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.backends.signals import connection_created
from django.utils import timezone

from a2a_app import models
from a2a_app.models.spending import SpenderKind

# Tables that do not grow with the number of tasks.
SMALL = {"a2a_app_apikey", "a2a_app_directoryentry", "a2a_app_failure", "a2a_app_worker"}
# So many tasks share an archive.
PER_ARCHIVE = 8
# A statement that was prepared may get a plan for any values after so many times.
_EXECUTED = 6
# For the values of how many times it is looked at.
_TIMES = 8
_OURS = re.compile(r"\ba2a_app_(?!apikey|directoryentry|failure|worker)\w+")
_NAMED = re.compile(r"%\((\w+)\)s")
_SQLITE_SCAN = re.compile(r"SCAN (\w+)(?! USING)\b")


class Statements:
    """The statements that were sent over any connection, each with the values of some times."""

    def __init__(self) -> None:
        self.seen: dict[str, list[Any]] = {}

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        if _OURS.search(sql) and sql.lstrip().startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
            named = params if isinstance(params, dict) else {}
            values = [named[name] for name in _NAMED.findall(sql)] or params
            times = self.seen.setdefault(_NAMED.sub("%s", sql), [])
            if len(times) < _TIMES:
                times.append(values)
        return execute(sql, params, many, context)


@contextmanager
def recorded() -> Iterator[Statements]:
    """Record the statements of all threads. Those of other threads must connect anew for it."""
    statements = Statements()

    def watch(*, connection: Any, **_: Any) -> None:
        connection.execute_wrappers.append(statements)

    connection_created.connect(watch)
    try:
        with connection.execute_wrapper(statements):
            yield statements
    finally:
        connection_created.disconnect(watch)


def faults(statements: Statements, *, rows: int) -> list[str]:
    """List the statements that read a table without an index, or more rows than they may.

    Args:
        statements: What was recorded.
        rows: How many rows of a table a statement may read. Known on PostgreSQL only, and there
            for statements that change nothing.
    """
    find = _on_postgresql if connection.vendor == "postgresql" else _on_sqlite
    return [
        f"{fault}: {sql}"
        for sql, times in statements.seen.items()
        for fault in find(sql, times, rows)
    ]


def _on_sqlite(sql: str, times: list[Any], rows: int) -> Iterator[str]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", times[0])
        steps = [step for *_, step in cursor.fetchall()]
    for step in steps:
        scanned = _SQLITE_SCAN.match(step)
        if scanned and scanned[1].startswith("a2a_app_") and scanned[1] not in SMALL:
            yield step


def _on_postgresql(sql: str, times: list[Any], rows: int) -> Iterator[str]:
    """Look at the plans that PostgreSQL makes once it knows a prepared statement for a while.

    For a while it looks at the values. Then it may have one plan for all of them, which is a bad
    one for those that it does not expect.
    """
    numbers = itertools.count(1)
    numbered = re.sub("%s", lambda _: f"${next(numbers)}", sql).replace("%%", "%")
    values = ", ".join(["%s"] * len(times[0]))
    execute = f"EXECUTE planned({values})" if values else "EXECUTE planned"
    analyze = sql.lstrip().startswith("SELECT")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"PREPARE planned AS {numbered}")
        for params, _ in zip(itertools.cycle(times), range(_EXECUTED), strict=False):
            cursor.execute(f"EXPLAIN {execute}", params)
        plans = []
        for params in times:
            cursor.execute(f"EXPLAIN (ANALYZE {analyze}, FORMAT JSON) {execute}", params)
            plans += cursor.fetchall()
        cursor.execute("DEALLOCATE planned")
    for (plan,) in plans:
        [top] = json.loads(plan) if isinstance(plan, str) else plan
        yield from _in_plan(top["Plan"], rows)


def _in_plan(plan: dict[str, Any], rows: int) -> Iterator[str]:
    for node in _nodes(plan):
        table = node.get("Relation Name", "")
        if not table.startswith("a2a_app_") or table in SMALL:
            continue
        if node["Node Type"] == "Seq Scan" and node.get("Actual Loops", 1):
            yield f"reads all of {table}"
        removed = sum(count for name, count in node.items() if name.startswith("Rows Removed by"))
        read = (node.get("Actual Rows", 0) + removed) * node.get("Actual Loops", 1)
        if read > rows:
            yield f"reads {read:.0f} rows of {table}"


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


def url() -> str:
    """Return the URL of the test's own database."""
    name = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{name['NAME']}"
    return f"postgresql://{name['USER']}@/{name['NAME']}?host={name['HOST']}"


def fill_spending(spenders: int, *, days: int) -> None:
    """Store sums of days for so many spenders of each kind."""
    today = timezone.localdate()
    models.Spending.objects.bulk_create(
        models.Spending(
            per=per,
            spender=f"name:{number}",
            caller=f"name:{number}" if per == SpenderKind.CALLER else "",
            day=today - timedelta(days=number % days),
            agent="planned",
        )
        for per in SpenderKind.values
        for number in range(spenders)
    )


def remember_and_archive(tasks: list[models.Task]) -> None:
    """Store keys of messages, what was decided, steps, events, and archives that are full."""
    models.Step.objects.bulk_create(
        models.Step(
            task=task,
            turn=1,
            number=1,
            name="charge",
            tries=1,
            started_at=task.status_at,
            ended_at=task.status_at,
        )
        for task in tasks
    )
    models.RemoteTask.objects.bulk_create(
        models.RemoteTask(
            task=task,
            turn=1,
            number=2,
            name="ask",
            agent="billing",
            is_local=True,
            remote_id=str(task.pk),
            state=task.state,
            ended_at=task.status_at,
        )
        for task in tasks
    )
    models.ExternalEvent.objects.bulk_create(
        models.ExternalEvent(task=task, name="payment", key="k", data=[1]) for task in tasks
    )
    models.IdempotencyKey.objects.bulk_create(
        models.IdempotencyKey(
            agent=task.agent,
            owner=task.owner,
            key=str(task.pk),
            task=task,
            message_id=task.status_message_id,
            expires_at=task.status_at,
        )
        for task in tasks
    )
    models.Approval.objects.bulk_create(
        models.Approval(
            task=task,
            turn=1,
            digest="x",
            number=1,
            question="Really?",
            choices=["yes"],
            ending="decided",
            ended_at=task.status_at,
        )
        for task in tasks
    )
    archives = [
        models.Archive(name="none", size=1, tasks=PER_ARCHIVE) for _ in tasks[::PER_ARCHIVE]
    ]
    models.Archive.objects.bulk_create(archives)
    models.ArchivedLog.objects.bulk_create(
        models.ArchivedLog(task=task, archive=archives[number // PER_ARCHIVE], start=0, size=1)
        for number, task in enumerate(tasks)
    )
