"""Failures without a task: however many there are, few are stored, and none is stored at once."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from a2a_app import models
from a2a_app.database.values import first_key_at
from a2a_app.runners.tracebacks import note_failure
from a2a_app.store import failures

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_noted() -> None:
    failures.store()
    models.Failure.objects.all().delete()


def stored() -> list[UUID]:
    return list(models.Failure.objects.order_by("pk").values_list("pk", flat=True))


def add(*, age: timedelta) -> UUID:
    then = timezone.now() - age
    return models.Failure.objects.create(id=first_key_at(then), error="x", created_at=then).pk


def test_of_many_failures_the_newest_are_stored() -> None:
    noted = [failures.note(str(number)) for number in range(150)]
    assert stored() == []
    failures.store()
    assert stored() == noted[-failures.NOTED :]


def test_of_a_long_traceback_the_beginning_and_the_end_are_stored_and_how_much_is_not() -> None:
    note_failure(RuntimeError("begun " + "x" * 1_000_000 + " ended"))
    failures.store()
    error = models.Failure.objects.get().error
    assert error.startswith("RuntimeError: begun xxx") and error.endswith("xxx ended\n")
    assert failures.CHARACTERS < len(error) < failures.CHARACTERS + 100
    left_out = re.findall(r"\n… (\d+) characters are left out here …\n", error)
    assert [int(each) for each in left_out] == [1_000_027 - failures.CHARACTERS]


def test_only_the_newest_stay_and_none_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    add(age=2 * failures.KEPT)
    young = add(age=failures.KEPT / 2)
    failures.store()
    assert stored() == [young]
    monkeypatch.setattr(failures, "STORED", 2)
    new = [failures.note("x") for _ in range(2)]
    failures.store()
    assert stored() == new


def test_what_cannot_be_stored_is_stored_by_a_later_sweep() -> None:
    def fail(execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith("INSERT"):
            raise OperationalError
        return execute(sql, *rest)

    noted = [failures.note("x")]
    with pytest.raises(OperationalError), connection.execute_wrapper(fail), transaction.atomic():
        failures.store()
    noted.append(failures.note("y"))
    failures.store()
    assert stored() == noted


def test_what_no_database_takes_keeps_nothing_else_from_being_stored() -> None:
    failures.note("\ud800")
    with pytest.raises(UnicodeEncodeError), transaction.atomic():
        failures.store()
    later = failures.note("x")
    failures.store()
    assert stored() == [later]
