"""Cores: the servers, which work in turn, have one, and the load has another."""

from collections.abc import Iterator
from contextlib import contextmanager

import psutil

_ALL = psutil.Process().cpu_affinity() or [0]
_SERVERS, _LOAD = _ALL[:1], _ALL[1:2] or _ALL


def take_the_load_core() -> None:
    """Have this process, and what it starts from now on, run on the core of the load."""
    psutil.Process().cpu_affinity(_LOAD)


@contextmanager
def of_servers() -> Iterator[None]:
    """Start processes on the servers' core: a thread has that of whoever started it."""
    before = psutil.Process().cpu_affinity()
    psutil.Process().cpu_affinity(_SERVERS)
    try:
        yield
    finally:
        psutil.Process().cpu_affinity(before)
