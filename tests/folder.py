"""The folder of a test run, in a file that costs nothing to import: each server of a test does."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path


@cache
def folder() -> Path:
    """Return a folder that is gone with this process. Its path is short, for sockets in it."""
    made = Path(tempfile.mkdtemp(prefix="a2a-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made
