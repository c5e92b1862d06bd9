"""Statements that are compiled once do what querysets do, with any values."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import CharField
from django.db.models.functions import Now
from django.db.models.sql.compiler import SQLCompiler
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from a2a_app import models
from a2a_app.database import selects, statements
from a2a_app.database.inserts import insert
from a2a_app.database.statements import Literal, Placeholder
from tests.tasks import begin, columns

pytestmark = pytest.mark.django_db


def event(seq: int, **more: Any) -> models.Event:
    task = models.Task.objects.get()
    more = {"turn": 1, "state": "TASK_STATE_WORKING", "body": f'"{seq}"'} | more
    return models.Event(task_id=task.pk, seq=seq, **more)


def test_rows_come_out_as_they_went_in() -> None:
    task_id = begin().head.task_id
    message = models.Message(
        context=models.Context.objects.get(),
        task_id=task_id,
        message_id="100 % \N{SNOWMAN} '%s'",
        role="ROLE_AGENT",
        parts=[{"data": None}, {"text": "%s"}],
        metadata={"deep": [1, 2.5, {"null": None}]},
    )
    insert(models.Message, [columns(message)])
    [found] = selects.select_models(models.Message, pk=message.pk)
    assert columns(found) == columns(models.Message.objects.get(pk=message.pk)) == columns(message)


def test_rows_come_with_those_that_they_point_to() -> None:
    begin()
    asked = models.Task.objects.select_related("context", "status_message").get()
    for message in (None, models.Message.objects.get()):
        statements.update(
            models.Task, {"status_message": message and message.pk}, pk=asked.pk, agent="load"
        )
        [found] = selects.select_models(
            models.Task, related=("context", "status_message"), context__owner="", pk=asked.pk
        )
        assert columns(found.context) == columns(asked.context)
        assert found.status_message == message


def test_a_condition_on_null_is_another_statement() -> None:
    task_id = begin().head.task_id
    run = models.Run.objects.get().pk
    assert statements.update(models.Task, {"run": run}, pk=task_id, run=None) == 1
    assert statements.update(models.Task, {"run": run}, pk=task_id, run=None) == 0
    assert statements.update(models.Task, {"run": None}, pk=task_id, run=run) == 1
    assert models.Task.objects.get().run is None


def test_rows_are_found_by_any_of_some_values_and_counted() -> None:
    keys = [begin().head.task_id for _ in range(4)]
    for some in (keys[:2], keys[1:]):
        found = selects.select_models(models.Task, order_by=("id",), pk__in=some, agent="load")
        assert [task.pk for task in found] == some
        assert selects.count(models.Task, agent="load", pk__in=some) == len(some)
    assert selects.count(models.Message, task__pk__in=keys, context__owner="") == 4
    assert selects.count(models.Task, agent="other") == 0


@pytest.mark.slow
def test_more_rows_than_one_statement_may_have_values_for_are_all_inserted() -> None:
    begin()
    insert(models.Event, [columns(event(seq)) for seq in range(2, 402)])
    assert models.Event.objects.count() == 401
    read = selects.select_values(
        models.Event, ("seq", "body"), order_by=("-seq",), limit=2, seq__lt=400
    )
    assert [tuple(row) for row in read] == [(399, '"399"'), (398, '"398"')]


def test_many_rows_come_out_as_they_went_in() -> None:
    task_id = begin().head.task_id
    context = models.Context.objects.get()
    rows = [
        models.Message(
            context=context,
            task_id=task,
            message_id=f"'{{{number}}}'",
            role="ROLE_AGENT",
            parts=[{"text": "%s"}, {"data": number}],
            metadata={"number": number},
        )
        for number, task in enumerate([None, task_id, task_id])
    ]
    insert(models.Message, [columns(row) for row in rows])
    known = {row.pk: row for row in models.Message.objects.all()}
    assert [columns(known[row.pk]) for row in rows] == [columns(row) for row in rows]


@pytest.mark.parametrize("count", range(1, 7))
def test_rows_come_out_as_they_went_in_however_many(count: int) -> None:
    task_id = begin().head.task_id
    rows = [
        models.Artifact(
            task_id=task_id,
            artifact_id=f"%s {number}",
            name="" if number % 2 else "'",
            parts=[{"text": "%s"}] * number,
            metadata={"": None} if number % 2 else {},
            first_seq=number,
            last_seq=None if number % 2 else 0,
        )
        for number in range(count)
    ]
    insert(models.Artifact, [columns(row) for row in rows])
    found = list(models.Artifact.objects.order_by("first_seq"))
    assert [columns(row) for row in found] == [columns(row) for row in rows]


@pytest.mark.parametrize("value", [[], {}, [0], [""], [False], {"": None}])
def test_an_empty_value_comes_out_as_it_went_in(value: Any) -> None:
    begin()
    row = models.Context(context_id="empty", agent="load", owner="", state=value)
    insert(models.Context, [columns(row)])
    assert models.Context.objects.get(pk=row.pk).state == value


@pytest.mark.parametrize("count", [1, 2])
def test_a_value_that_is_no_json_is_refused_however_many_rows_there_are(count: int) -> None:
    row = {**columns(models.Context(context_id="x", agent="load")), "state": {"a": object()}}
    with pytest.raises(ValueError, match="object"):
        insert(models.Context, [row] * count)


def test_a_field_of_another_type_prepares_its_values_itself() -> None:
    class Reversed(CharField[str, str]):
        def get_prep_value(self, value: Any) -> Any:
            return str(value)[::-1]

    plain, own = (
        Placeholder("it", field, saved=True) for field in (CharField[str, str](), Reversed())
    )
    assert own.prepare is not None and own.prepare("abc", connection) == "cba"
    assert plain.prepare is None or plain.prepare("abc", connection) == "abc"


def test_a_literal_stands_in_the_statement_beside_the_other_values() -> None:
    key = begin().head.task_id
    for state, found in (("TASK_STATE_SUBMITTED", 1), ("TASK_STATE_FAILED", 0)):
        where: dict[str, Any] = {"agent": "load", "state": Literal(state), "pk": key}
        with CaptureQueriesContext(connection) as captured:
            assert selects.count(models.Task, **where) == found
        prepared = selects.prepare_select(models.Task, ("pk",), **where)
        assert f"'{state}'" in prepared.statement.sql
        assert prepared.values == ["load", key]
        assert len(captured) == 1


@pytest.mark.parametrize("text", ["it's", "a b", "%s", "a;", "é"])
def test_a_literal_is_a_word_or_empty_and_nothing_else(text: str) -> None:
    with pytest.raises(ValueError, match="is no word"):
        Literal(text)


@pytest.mark.parametrize(("limit", "counted"), [(None, 3), (2, 2), (9, 3)])
def test_rows_are_counted_to_a_limit(limit: int | None, counted: int) -> None:
    for _ in range(3):
        begin()
    assert selects.count(models.Task, order_by=("pk",), limit=limit, agent="load") == counted


def test_a_row_that_is_there_is_overwritten_where_that_is_asked_for() -> None:
    task_id = begin().head.task_id
    unique = (
        ("task", "artifact_id") if connection.features.supports_update_conflicts_with_target else ()
    )
    for parts in ([{"text": "one"}], [{"text": "two"}]):
        row = models.Artifact(task_id=task_id, artifact_id="a", first_seq=2, parts=parts)
        insert(models.Artifact, [columns(row)], overwrite=("parts",), unique=unique)
    assert [each.parts for each in models.Artifact.objects.all()] == [[{"text": "two"}]]


def test_an_expression_is_worked_out_by_the_database() -> None:
    begin()
    run = models.Run.objects.get()
    for _ in range(2):
        statements.update(models.Run, {"lease_until": Now(), "worker": "one"}, pk=run.pk)
        run.refresh_from_db()
        assert run.lease_until is not None
        assert abs(timezone.now() - run.lease_until) < timedelta(seconds=5)


def test_a_shape_is_compiled_once_and_run_with_new_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begin()
    third = columns(event(3))
    insert(models.Event, [columns(event(2))])
    assert selects.select_models(models.Event, seq=2)

    def compiled_again(*_: Any) -> None:
        raise AssertionError("A known shape was compiled again.")

    monkeypatch.setattr(SQLCompiler, "__init__", compiled_again)
    insert(models.Event, [third])
    assert [row.seq for row in selects.select_models(models.Event, seq=3)] == [3]
