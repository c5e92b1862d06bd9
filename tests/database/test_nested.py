"""A row, and the rows that belong to it, come out as if each had been read on its own."""

from uuid import UUID, uuid4

import pytest
from pytest_django import DjangoAssertNumQueries

from a2a_app import models
from a2a_app.database.selects import Select, fetch, fetch_with_children, prepare_select
from a2a_app.database.statements import Fields, Model
from a2a_app.protocol import TaskState
from a2a_app.store.updates import Update
from a2a_app.store.writes.append import append
from tests.tasks import begin, chunk, status

pytestmark = pytest.mark.django_db

TASK = ("pk", "status_at", "metadata", "context__context_id", "status_message__parts")
MESSAGE = ("pk", "task_id", "seq", "message_id", "role", "parts", "metadata", "extensions")
ARTIFACT = ("task_id", "artifact_id", "first_seq", "last_seq", "parts", "metadata")


def written() -> UUID:
    """Write a task whose rows hold values that may be lost on the way."""
    head = begin("100 % \N{SNOWMAN} '%s' \\ \" \n").head
    updates: list[Update] = [
        status(TaskState.WORKING, "first"),
        chunk("x", append=False),
        status(TaskState.WORKING, "then"),
    ]
    return append(head, updates).head.task_id


def of(task_id: UUID, model: Model, fields: Fields, order: str) -> Select:
    return prepare_select(model, fields, order_by=(order,), task=task_id)


def test_all_rows_come_as_if_read_on_their_own() -> None:
    task_id = written()
    one = prepare_select(models.Task, TASK, pk=task_id)
    others = [
        of(task_id, models.Message, MESSAGE, "-seq"),
        of(task_id, models.Artifact, ARTIFACT, "first_seq"),
        of(task_id, models.Message, MESSAGE, "seq"),
    ]
    found = fetch_with_children(one, *others)
    assert found is not None
    row, rows = found
    assert list(row) == list(fetch(one)[0])
    assert [len(each) for each in rows] == [3, 1, 3]
    for given, other in zip(rows, others, strict=True):
        assert [list(each) for each in given] == [list(each) for each in fetch(other)]


def test_numbers_and_what_is_no_value_come_as_they_were() -> None:
    task_id = begin().head.task_id
    exact = {"big": 2**62, "small": 1e-7, "none": None, "deep": [[], {}, "", False]}
    models.Message.objects.update(metadata=exact)
    found = fetch_with_children(
        prepare_select(models.Task, ("pk", "run_id"), pk=task_id),
        of(task_id, models.Message, ("metadata", "task__status_message_id"), "seq"),
    )
    assert found is not None
    [[metadata, none]] = found[1][0]
    assert (metadata, none) == (exact, None)


def test_where_there_is_no_row_its_children_are_not_read(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    task_id = written()
    messages = of(task_id, models.Message, MESSAGE, "seq")
    with django_assert_num_queries(1):
        assert fetch_with_children(prepare_select(models.Task, TASK, pk=uuid4()), messages) is None


def test_a_column_that_json_does_not_preserve_is_refused() -> None:
    with pytest.raises(TypeError, match="status_at"):
        _ = prepare_select(models.Task, ("pk", "status_at"), pk=uuid4()).statement.uuids
