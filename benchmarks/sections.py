"""Sections: the measured parts of docs/laboratory.md, each by its name."""

import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version

from benchmarks import (
    delays,
    footprint,
    idle,
    ladder,
    lengths,
    postgresql,
    profiles,
    recovery,
    requests,
    streams,
    webhooks,
)
from benchmarks.figures import number, table
from benchmarks.running import Running
from benchmarks.servers import ALL, MEASURES, Server
from benchmarks.workload import Workload

COMPARED: dict[str, tuple[Workload, ...]] = {
    "requests": requests.WORKLOADS,
    "streams": streams.WORKLOADS,
    "lengths": lengths.WORKLOADS,
    "delays": delays.WORKLOADS,
    "webhooks": webhooks.WORKLOADS,
    "idle": idle.WORKLOADS,
    "footprint": footprint.WORKLOADS,
    "recovery": recovery.WORKLOADS,
}
NAMES = ("conditions", "ladder", *COMPARED, "profiles")
PACKAGES = ("a2a-sdk", "fasta2a", "daphne", "uvicorn", "django", "django-ninja", "pydantic")


@dataclass(frozen=True)
class Plan:
    """What to measure, and how thoroughly."""

    names: Sequence[str] = NAMES
    servers: Sequence[Server] = ALL
    rounds: int = 9
    tasks: int = 100_000

    def sections(self) -> Iterator[tuple[str, str]]:
        """Measure, and yield each section's name and text when it is done."""
        if "conditions" in self.names:
            yield "conditions", self._conditions()
        if "ladder" in self.names:
            yield "ladder", self._dated(ladder.measure(self.rounds))
        with ExitStack() as stack:
            running = Running(stack, self.servers, self.tasks)
            for name, works in COMPARED.items():
                if name in self.names:
                    yield name, self._dated(self._compared(works, running))
        if "profiles" in self.names:
            yield "profiles", f"Measured on {_today()}.\n\n{profiles.measure()}"

    def _dated(self, text: str) -> str:
        """Say when a section was measured: others may be older, or of other code."""
        return f"Measured on {_today()}, in {self.rounds} rounds.\n\n{text}"

    def _compared(self, works: tuple[Workload, ...], running: Running) -> str:
        parts = []
        for work in works:
            title = work.name.format(tasks=self.tasks)
            found = work.compare(running, self.rounds)
            measures = [server.name for server in MEASURES]
            parts.append(f"### {title}\n\n{table(found, measures, less=work.less)}")
        return "\n".join(parts)

    def _conditions(self) -> str:
        packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
        return (
            f"Measured with {self.tasks:,} tasks in each server, on {os.cpu_count()} cores. "
            f"Python {platform.python_version()}, {packages}, PostgreSQL {postgresql.version()}, "
            f"one connection to which commits {number(postgresql.commits())} rows per second."
        )


def _today() -> str:
    today = date.today()
    return f"{today.day} {today:%B %Y}"
