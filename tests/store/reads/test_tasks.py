"""Reads: scopes, history, pages (R9, R10, R11)."""

import base64
import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from a2a_app import models
from a2a_app.models.owners import Scope
from a2a_app.protocol import (
    InvalidParamsError,
    ListTasksRequest,
    Task,
    TaskNotFoundError,
    TaskState,
)
from a2a_app.store.reads import pages
from a2a_app.store.reads.tasks import find_waiting_task, owned_task_head, read_snapshot
from a2a_app.store.writes.append import append
from tests.conftest import ChangeSettings
from tests.tasks import SCOPE, begin, chunk, status

pytestmark = pytest.mark.django_db


def everything(scope: Scope = SCOPE, **params: object) -> list[Task]:
    """Read all pages."""
    found: list[Task] = []
    token = ""
    while True:
        page = pages.task_page(scope, ListTasksRequest(page_token=token, **params))
        found += page.tasks
        token = page.next_page_token
        if not token:
            return found


@pytest.mark.parametrize("scope", [Scope("load", "somebody"), Scope("echo", "")])
def test_a_task_of_another_owner_or_agent_is_not_found(scope: Scope) -> None:
    head = begin().head
    with pytest.raises(TaskNotFoundError):
        read_snapshot(scope, str(head.task_id))
    assert everything(scope) == []


def test_every_read_of_a_task_is_for_its_owner_only() -> None:
    head = append(begin().head, [chunk("x", append=False)]).head
    with CaptureQueriesContext(connection) as captured, pytest.raises(TaskNotFoundError):
        read_snapshot(Scope(SCOPE.agent, "somebody"), str(head.task_id))
    [sql] = [query["sql"] for query in captured]
    assert re.search(r"""\."owner" = \(?'somebody'""", sql)
    tables = set(re.findall(r'FROM "(\w+)"', sql))
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE) {sql}")
            plan = [line for (line,) in cursor.fetchall()]
        # These stand in the statement too: PostgreSQL reads them for a task that it has found.
        for table in ("a2a_app_message", "a2a_app_artifact"):
            [scan] = [line for line in plan if re.search(rf"Scan.* on {table}\b", line)]
            assert "never executed" in scan
            tables.remove(table)
    assert tables == {"a2a_app_task"}


@pytest.mark.slow
def test_the_task_that_waits_is_found_by_an_index_however_long_its_conversation_is() -> None:
    scope = SCOPE.tasks()
    contexts = [models.Context(context_id=str(number), **scope) for number in range(500)]
    models.Context.objects.bulk_create(contexts)
    # One task waits in each conversation but the first, which is long.
    states = dict.fromkeys(contexts[1:], TaskState.INPUT_REQUIRED)
    rows = [*states.items(), *[(contexts[0], TaskState.COMPLETED)] * 2000]
    at = {"status_at": timezone.now(), "seq": 1, "turn": 1}
    models.Task.objects.bulk_create(
        models.Task(context=context, state=state, **at, **scope) for context, state in rows
    )
    statements: list[tuple[str, Any]] = []

    def note(execute: Any, sql: str, params: Any, *rest: Any) -> Any:
        statements.append((sql, params))
        return execute(sql, params, *rest)

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        with connection.execute_wrapper(note):
            assert find_waiting_task(SCOPE, "0") is None
        [(sql, params)] = statements
        explain = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
        cursor.execute(f"{explain} {sql}", params)
        plan = str(cursor.fetchall())
    assert "a2a_task_of_context_state" in plan
    assert "Seq Scan" not in plan and "SCAN" not in plan


@pytest.mark.parametrize("task_id", ["", "x", "0" * 32, "é" * 40, "1-2"])
def test_an_id_that_is_none_of_ours_is_not_found(task_id: str) -> None:
    with pytest.raises(TaskNotFoundError):
        owned_task_head(SCOPE, task_id)


@pytest.mark.parametrize(("length", "texts"), [(None, ["0", "1", "2"]), (0, []), (2, ["1", "2"])])
def test_history_length_shapes_the_answer_and_leaves_the_rows_alone(
    length: int | None, texts: list[str]
) -> None:
    head = append(begin("0").head, [status(TaskState.WORKING, t) for t in ("1", "2", "now")]).head
    for _ in range(2):
        task = read_snapshot(SCOPE, str(head.task_id), history_length=length).task
        assert [m.text for m in task.history] == texts
        [listed] = everything(history_length=length)
        assert [m.text for m in listed.history] == texts
        assert task.status.message is not None and task.status.message.text == "now"
    assert models.Message.objects.count() == 4


def test_history_length_counts_for_each_task_of_a_page() -> None:
    for text in "abc":
        append(begin(text).head, [status(TaskState.WORKING, text * n) for n in (2, 3, 4)])
    listed = everything(history_length=2)
    assert [[m.text for m in t.history] for t in listed] == [[c * 2, c * 3] for c in "cba"]


def test_pages_give_every_task_once_newest_status_first() -> None:
    made = [str(begin().head.task_id) for _ in range(7)]
    # Equal times: the cursor has to tell them apart all the same.
    models.Task.objects.update(status_at=models.Task.objects.latest("status_at").status_at)
    listed = [task.id for task in everything(page_size=3)]
    assert listed == sorted(made, reverse=True)


def test_a_page_says_how_many_tasks_there_are_in_all() -> None:
    for _ in range(3):
        begin()
    page = pages.task_page(SCOPE, ListTasksRequest(page_size=2))
    assert (page.page_size, page.total_size, len(page.tasks)) == (2, 3, 2)


@pytest.mark.parametrize(("limit", "total"), [(2, 2), (3, 3), (10, 4), (None, 4)])
def test_tasks_are_counted_to_the_limit_of_the_settings(
    limit: int | None, total: int, a2a: ChangeSettings
) -> None:
    a2a(TOTAL_SIZE_LIMIT=limit)
    for _ in range(4):
        begin()
    page = pages.task_page(SCOPE, ListTasksRequest(page_size=1))
    assert page.total_size == total
    # All tasks are listed all the same.
    assert len(everything(page_size=1)) == 4


def test_every_page_says_what_the_first_one_has_counted() -> None:
    for _ in range(3):
        begin()
    page = pages.task_page(SCOPE, ListTasksRequest(page_size=1))
    begin()
    for _ in range(2):
        token = page.next_page_token
        page = pages.task_page(SCOPE, ListTasksRequest(page_size=1, page_token=token))
        assert page.total_size == 3
    assert page.next_page_token == ""


def test_a_list_counts_only_what_its_filters_choose() -> None:
    for _ in range(3):
        begin(context_id="one")
    append(begin(context_id="one").head, [status(TaskState.WORKING)])
    begin(context_id="two")
    waiting = {"status": TaskState.SUBMITTED, "page_size": 1}
    of_one = pages.task_page(SCOPE, ListTasksRequest(context_id="one", **waiting))
    of_all = pages.task_page(SCOPE, ListTasksRequest(**waiting))
    assert (of_one.total_size, of_all.total_size) == (3, 4)


@pytest.mark.parametrize("scope", [Scope("load", "somebody"), Scope("echo", "")])
def test_a_conversation_of_another_owner_or_agent_has_no_tasks(scope: Scope) -> None:
    begin(context_id="one")
    page = pages.task_page(scope, ListTasksRequest(context_id="one"))
    assert (page.tasks, page.total_size, page.next_page_token) == ([], 0, "")


def test_filters_choose_by_context_state_and_time() -> None:
    first = begin(context_id="one").head
    second = append(begin(context_id="two").head, [status(TaskState.WORKING)]).head
    assert [t.id for t in everything(context_id="one")] == [str(first.task_id)]
    assert [t.id for t in everything(status=TaskState.WORKING)] == [str(second.task_id)]
    models.Task.objects.filter(pk=first.task_id).update(
        status_at=models.Task.objects.get(pk=second.task_id).status_at - timedelta(seconds=1)
    )
    at = models.Task.objects.get(pk=second.task_id).status_at
    assert [t.id for t in everything(status_timestamp_after=at)] == [str(second.task_id)]


def test_artifacts_are_listed_when_asked_for_also_those_that_are_open() -> None:
    append(begin().head, [chunk("0", append=False), chunk("1")])
    assert everything()[0].artifacts == []
    [artifact] = everything(include_artifacts=True)[0].artifacts
    assert [part.text for part in artifact.parts] == ["01"]


def _token(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "!!!",
        _token("hello"),
        _token("2026-01-01 00"),
        _token(f"2026-01-01T00:00:00+00:00 {'0' * 32}"),
        _token(f"2026-01-01T00:00:00+02:00 {'0' * 32} 5"),
        _token(f"2026-01-01T00:00:00+00:00 {'0' * 32} -1"),
        _token(f"2026-01-01T00:00:00+00:00 {'0' * 32} {2**31}"),
        _token(f"2026-01-01T00:00:00+00:00 {'0' * 32} many"),
    ],
)
def test_a_page_token_that_is_none_of_ours_is_refused_by_name(token: str) -> None:
    with pytest.raises(InvalidParamsError) as caught:
        pages.task_page(SCOPE, ListTasksRequest(page_token=token))
    assert [v.field for v in caught.value.violations] == ["pageToken"]


@pytest.mark.parametrize("tasks", [2, 20])
def test_a_page_takes_the_same_statements_whatever_it_holds(
    tasks: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(tasks):
        head = append(begin().head, [status(TaskState.WORKING, "x")]).head
        append(head, [chunk("0", append=False, last=True), chunk("x", key="b", append=False)])
    # The tasks, their history, their artifacts, the chunks of those that are open.
    with django_assert_num_queries(4):
        pages.task_page(SCOPE, ListTasksRequest(include_artifacts=True))


@pytest.mark.parametrize("history_length", [None, 0])
def test_a_status_message_that_a_project_has_deleted_is_left_out(
    history_length: int | None,
) -> None:
    head = append(begin().head, [status(TaskState.WORKING, "secret")]).head
    models.Message.objects.filter(seq=2).delete()
    found = read_snapshot(SCOPE, str(head.task_id), history_length=history_length).task
    assert (found.status.state, found.status.message) == (TaskState.WORKING, None)
