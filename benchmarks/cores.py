"""Two cores: one for the servers, which work in turn, and one for the load."""

from collections.abc import Iterator
from contextlib import contextmanager

import psutil

_ALL = psutil.Process().cpu_affinity() or [0]
_SERVERS, _LOAD = _ALL[:1], _ALL[1:2] or _ALL


def take_the_load_core() -> None:
    """Move this process, and what it starts from now on, to the core of the load."""
    psutil.Process().cpu_affinity(_LOAD)


@contextmanager
def of_servers() -> Iterator[None]:
    """Have processes that start meanwhile run on the core of the servers."""
    before = psutil.Process().cpu_affinity()
    psutil.Process().cpu_affinity(_SERVERS)
    try:
        yield
    finally:
        psutil.Process().cpu_affinity(before)
