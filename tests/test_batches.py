"""Batches: of a size that locks nothing for long, over several threads, and with every error."""

import gc
from collections import Counter
from collections.abc import Iterator, Sequence
from threading import Event
from uuid import UUID, uuid4

import pytest

from a2a_app.management import batches
from a2a_app.management.batches import Batches, WeighedKey
from a2a_app.store.removal import BATCH, BATCH_EVENTS

WAIT_SECONDS = 20


def keys(*weights: int) -> list[WeighedKey]:
    return [(uuid4(), weight) for weight in weights]


def sizes(weighed: list[WeighedKey]) -> list[int]:
    found: list[int] = []

    def work(batch: Sequence[UUID]) -> dict[str, int]:
        found.append(len(batch))
        return {"rows": len(batch)}

    done: Counter[str] = Counter()
    Batches(iter(weighed), work, lambda seconds: None, done).run(1)
    assert done["rows"] == len(weighed)
    return found


def test_a_batch_has_so_many_rows_at_most() -> None:
    assert sizes(keys(*[1] * (2 * BATCH + 1))) == [BATCH, BATCH, 1]


def test_tasks_with_long_logs_go_a_few_at_a_time() -> None:
    assert sizes(keys(BATCH_EVENTS, 3, BATCH_EVENTS, BATCH_EVENTS // 2, 1)) == [1, 2, 2]


def test_what_is_raised_in_another_thread_is_raised_here_and_ends_the_work() -> None:
    raised = Event()

    def work(batch: Sequence[UUID]) -> dict[str, int]:
        # The first thread waits for the second one, which fails.
        if not begun:
            begun.append(batch)
            assert raised.wait(WAIT_SECONDS)
            return {"rows": len(batch)}
        raised.set()
        raise LookupError("no such row")

    begun: list[Sequence[UUID]] = []
    done: Counter[str] = Counter()
    work_left = iter(keys(*[BATCH_EVENTS] * 1000))
    with pytest.raises(LookupError, match="no such row"):
        Batches(work_left, work, lambda seconds: None, done).run(2)
    assert next(work_left, None) is not None


def test_progress_is_reported_also_while_a_statement_finds_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches, "REPORT_SECONDS", 0.001)
    reported = Event()

    def search() -> Iterator[WeighedKey]:
        assert reported.wait(WAIT_SECONDS), "nothing is told during the search"
        yield from keys(1)

    done: Counter[str] = Counter()
    work = Batches(search(), lambda batch: {"rows": len(batch)}, lambda _: reported.set(), done)
    work.run(1)
    assert done["rows"] == 1


def test_the_garbage_collector_does_not_look_at_the_project_while_rows_are_locked() -> None:
    def work(batch: Sequence[UUID]) -> dict[str, int]:
        frozen.append(gc.get_freeze_count())
        raise LookupError("no such row")

    frozen: list[int] = []
    gc.unfreeze()
    with pytest.raises(LookupError):
        Batches(iter(keys(1)), work, lambda seconds: None, Counter()).run(1)
    assert frozen[0] > 0
    assert gc.get_freeze_count() == 0
    gc.freeze()  # as conftest.py has left it for the other tests
