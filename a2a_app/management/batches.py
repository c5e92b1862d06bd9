"""Batches: a command's work on many rows, in short transactions over several connections."""

import gc
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from django.db import connections
from django.db.models import F, QuerySet, Value

from a2a_app.database import alias
from a2a_app.store.removal import BATCH, BATCH_EVENTS

# The work on one batch: it returns how many of each kind it has dealt with.
Work: TypeAlias = Callable[[Sequence[UUID]], dict[str, int]]
# A row's key, and how many rows of other tables hang on it.
WeighedKey: TypeAlias = tuple[UUID, int]

# How many rows one statement looks through for those that are wanted.
WINDOW = 10_000
# How often progress is reported.
REPORT_SECONDS = 1.0


def weighed_keys(wanted: Any, weight: F | Value) -> Iterator[WeighedKey]:
    """Yield the keys of the rows that are wanted, in order, and look at each row of the table once.

    No statement looks at more than WINDOW rows, whatever the database's plan for it is.

    Args:
        wanted: A queryset of the rows.
        weight: How many rows of other tables hang on each.
    """
    table: QuerySet[Any] = wanted.model._base_manager.order_by("pk").values_list("pk", flat=True)
    after: dict[str, UUID] = {}
    while True:
        end = table.filter(**after)[WINDOW - 1 : WINDOW].first()
        within = after if end is None else {**after, "pk__lte": end}
        yield from list(
            wanted.filter(**within)
            .order_by("pk")
            .annotate(weight=weight)
            .values_list("pk", "weight")
        )
        if end is None:
            return
        after = {"pk__gt": end}


class Batches:
    """Work on rows in batches, over several connections at once."""

    def __init__(
        self,
        keys: Iterator[WeighedKey],
        work: Work,
        report: Callable[[float], None],
        done: Counter[str],
    ) -> None:
        """Prepare work.

        Args:
            keys: The rows' keys, which are taken as they are needed.
            work: Called with a batch of them.
            report: Called each REPORT_SECONDS, in a thread of its own, with the seconds since the
                beginning: a statement may take longer than that, or find nothing to do.
            done: To which it adds how many of each kind were dealt with.
        """
        self._keys, self._work, self._report, self._done = keys, work, report, done
        self._lock = threading.Lock()
        self._stopped = False
        self._error: BaseException | None = None
        self._begun = time.monotonic()
        self._over = threading.Event()

    def run(self, threads: int) -> None:
        """Do the work, in this thread and so many in all; raise what any of them has raised.

        Ctrl-C, which raises in this thread, ends the others after the batch they are at.
        """
        # A full collection of garbage stops all threads for as long as it looks at what the project
        # has loaded, which may be a tenth of a second, and they hold locks. It need not look there.
        was_frozen = gc.get_freeze_count() > 0
        gc.freeze()
        try:
            self._run_all(threads)
        finally:
            if not was_frozen:
                gc.unfreeze()
        if self._error is not None:
            raise self._error

    def _run_all(self, threads: int) -> None:
        others = [threading.Thread(target=self._run_other) for _ in range(threads - 1)]
        others.append(threading.Thread(target=self._report_for_ever))
        for thread in others:
            thread.start()
        try:
            self._run()
        finally:
            self._stopped = True
            self._join(others)

    def _join(self, threads: list[threading.Thread]) -> None:
        """Wait for the threads that work, the last of which reports until the others are done."""
        for thread in threads[:-1]:
            thread.join()
        self._over.set()
        threads[-1].join()

    def _report_for_ever(self) -> None:
        while not self._over.wait(REPORT_SECONDS):
            self._report(time.monotonic() - self._begun)

    def _run_other(self) -> None:
        try:
            self._run()
        except BaseException as error:  # raised again in the thread that waits
            self._error, self._stopped = error, True
        finally:
            connections[alias()].close()

    def _run(self) -> None:
        while batch := self._take():
            self._count(self._work(batch))

    def _take(self) -> list[UUID]:
        batch: list[UUID] = []
        total = 0
        with self._lock:
            while not self._stopped and len(batch) < BATCH and total < BATCH_EVENTS:
                key, weight = next(self._keys, (None, 0))
                if key is None:
                    break
                batch.append(key)
                total += weight
        return batch

    def _count(self, done: dict[str, int]) -> None:
        with self._lock:
            self._done.update(done)
