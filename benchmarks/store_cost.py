"""Measure what one more chunk of a task costs, with nothing but the store.

`chunk_cost.py` runs this in a process of its own for each database, which DATABASE_URL names. It
prints one JSON object: for each size of transaction the microseconds per chunk of every round, at
each place of the log.
"""

import json
import os
import sys
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from a2a_app import protocol  # noqa: E402  # Django must be set up first
from a2a_app.database.values import new_key  # noqa: E402
from a2a_app.store.task_head import new_task_head  # noqa: E402
from a2a_app.store.updates import ArtifactUpdate, MessageReceived, StatusUpdate  # noqa: E402
from a2a_app.store.writes.append import append  # noqa: E402
from benchmarks.places import PLACES, WINDOW  # noqa: E402

SIZES = (1, 32)
FILL = 128


class Log:
    """One task's log, written from its beginning."""

    def __init__(self) -> None:
        head = new_task_head(agent="load", owner="", context_id=str(new_key()))
        said = protocol.Message(
            message_id="benchmark",
            context_id=head.context_id,
            role=protocol.Role.USER,
            parts=[protocol.Part(text="Go on.")],
        )
        head = append(head, [MessageReceived(said)]).head
        self.head = append(head, [StatusUpdate(protocol.TaskState.WORKING)]).head
        self.chunks = 0

    def grow(self, count: int, *, size: int) -> None:
        """Append chunks, `size` of them in each transaction."""
        end = self.chunks + count
        while self.chunks < end:
            batch = [self._chunk() for _ in range(min(size, end - self.chunks))]
            self.head = append(self.head, batch).head

    def _chunk(self) -> ArtifactUpdate:
        update = ArtifactUpdate(
            protocol.Artifact(
                artifact_id="load", parts=[protocol.Part(text=f"{self.chunks} ".ljust(32, "."))]
            ),
            append=self.chunks > 0,
        )
        self.chunks += 1
        return update


def measure(size: int) -> list[float]:
    """Write one task's log, and return the microseconds per chunk at each place."""
    log, found = Log(), []
    for place in PLACES:
        log.grow(place - WINDOW // 2 - log.chunks, size=FILL)
        begin = time.perf_counter()
        log.grow(WINDOW, size=size)
        found.append((time.perf_counter() - begin) / WINDOW * 1e6)
    return found


def main(rounds: int) -> None:
    """Measure in rounds, the sizes in turn. The first round does not count."""
    found: dict[int, list[list[float]]] = {size: [] for size in SIZES}
    for number in range(rounds + 1):
        for size in SIZES:
            measured = measure(size)
            if number:
                found[size].append(measured)
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]))
