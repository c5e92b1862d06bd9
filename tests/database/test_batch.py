"""Statements that run together do what they do one by one, or nothing."""

from contextlib import nullcontext
from uuid import uuid4

import pytest
from django.db import transaction

from a2a_app import models
from a2a_app.database.batch import Batch, run_if
from a2a_app.database.inserts import Row
from a2a_app.database.statements import prepare_update
from tests.tasks import begin, columns

pytestmark = pytest.mark.django_db


class TooLate(Exception):
    """The error of these tests."""


def message(text: str = "x") -> Row:
    context = models.Context.objects.get()
    return columns(models.Message(context=context, message_id=text, role="ROLE_AGENT", parts=[]))


def test_inserts_and_updates_all_happen() -> None:
    task_id = begin().head.task_id
    batch = Batch()
    batch.insert(models.Message, [message("100 % '%s'")])
    batch.insert(models.Message, [])
    batch.update(models.Task, {"turn": 7}, or_raise=TooLate(), pk=task_id, turn=1)
    batch.update(models.Context, {"version": 3, "state": {"a": None}}, version=0)
    batch.insert(models.Message, [message("one"), message("two")])
    batch.run()
    assert models.Task.objects.get().turn == 7
    assert models.Context.objects.values_list("version", "state").get() == (3, {"a": None})
    assert models.Message.objects.filter(message_id__in=["100 % '%s'", "one", "two"]).count() == 3
    batch.run()
    assert models.Message.objects.count() == 4


def test_an_update_that_does_not_find_its_row_raises_and_nothing_else_has_happened() -> None:
    begin()
    batch = Batch()
    batch.insert(models.Message, [message()])
    batch.insert(models.Message, [message("one"), message("two")])
    batch.update(models.Task, {"turn": 7}, or_raise=TooLate("Gone."), pk=uuid4())
    batch.update(models.Context, {"version": 3})
    around = nullcontext() if batch.is_atomic else transaction.atomic()
    with pytest.raises(TooLate, match=r"Gone\."), around:
        batch.run()
    assert models.Message.objects.count() == 1
    assert models.Context.objects.get().version == 0


def test_of_two_that_must_find_a_row_the_second_undoes_the_first() -> None:
    task_id = begin().head.task_id
    batch = Batch()
    batch.update(models.Task, {"turn": 7}, or_raise=TooLate(), pk=task_id)
    batch.insert(models.Message, [message()])
    batch.update(models.Context, {"version": 3}, or_raise=TooLate("Gone."), pk=uuid4())
    assert not batch.is_atomic
    with pytest.raises(TooLate, match=r"Gone\."), transaction.atomic():
        batch.run()
    assert models.Message.objects.count() == 1
    assert models.Task.objects.get().turn == 1


def test_an_update_that_finds_no_row_and_need_not_is_no_error() -> None:
    begin()
    batch = Batch()
    batch.update(models.Task, {"turn": 7}, pk=uuid4())
    batch.insert(models.Message, [message()])
    batch.run()
    assert models.Message.objects.count() == 2
    Batch().run()


@pytest.mark.parametrize(
    ("turn", "version", "changed"), [(1, 0, (1, 1)), (1, 5, (1, 0)), (5, 0, (0, 0))]
)
def test_a_change_is_made_where_another_has_found_a_row_and_both_are_counted(
    turn: int, version: int, changed: tuple[int, int]
) -> None:
    task_id = begin().head.task_id
    condition = prepare_update(models.Task, {"turn": 7}, pk=task_id, turn=turn)
    then = prepare_update(models.Context, {"version": 8}, version=version)
    assert run_if(condition, then) == changed
    assert (models.Task.objects.get().turn == 7) is (changed[0] == 1)
    assert (models.Context.objects.get().version == 8) is (changed[1] == 1)
