"""Sections: the parts of docs/performance.md that are measured, each by its name."""

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks import (
    delays,
    footprint,
    idle,
    ladder,
    lengths,
    plots,
    postgresql,
    profiles,
    recovery,
    requests,
    streams,
    webhooks,
)
from benchmarks.figures import Cell, number, table
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
    """What is to be measured."""

    names: Sequence[str] = NAMES
    servers: Sequence[Server] = ALL
    rounds: int = 9
    tasks: int = 100_000
    plots: Path | None = None
    """Where to draw; None: nowhere."""

    def sections(self) -> Iterator[tuple[str, str]]:
        """Measure, and give each section's name and text when it is done."""
        if "conditions" in self.names:
            yield "conditions", self._conditions()
        if "ladder" in self.names:
            yield "ladder", ladder.measure(self.rounds)
        with ExitStack() as stack:
            running = Running(stack, self.servers, self.tasks)
            for name, works in COMPARED.items():
                if name in self.names:
                    yield name, self._compared(name, works, running)
        if "profiles" in self.names:
            yield "profiles", profiles.measure()

    def _compared(self, name: str, works: tuple[Workload, ...], running: Running) -> str:
        found: dict[str, Mapping[str, Cell]] = {}
        parts = []
        for work in works:
            title = work.name.format(tasks=self.tasks)
            found[title] = work.compare(running, self.rounds)
            measures = [server.name for server in MEASURES]
            parts.append(f"### {title}\n\n{table(found[title], measures, less=work.less)}")
        if self.plots is not None:
            parts += plots.of(name, found, self.plots)
        return "\n".join(parts)

    def _conditions(self) -> str:
        packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
        return (
            f"{self.rounds} rounds; {self.tasks:,} tasks in each server. "
            f"{os.cpu_count()} cores; Python {platform.python_version()}, {packages}, "
            f"PostgreSQL {postgresql.version()}, one connection to which commits "
            f"{number(postgresql.commits())} rows a second."
        )
