"""Telemetry: spans and metrics by OpenTelemetry, where the project has set it up.

Code that has something to tell looks at `active` first. So where nobody listens, nothing is
imported and nothing called.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from a2a_app.telemetry.spans import Telemetry

active: "Telemetry | None" = None
"""What tells OpenTelemetry; None: the project has no provider."""


def start() -> None:
    """Begin to tell OpenTelemetry, if this process has a provider by now."""
    global active
    # Whoever has set a provider has imported this.
    if active is None and "opentelemetry.trace" in sys.modules:
        # Loaded here: it needs an extra, which most projects do not have.
        from a2a_app.telemetry.spans import find_telemetry

        active = find_telemetry()


@contextmanager
def open_stream() -> Iterator[None]:
    """Count a stream among the open ones inside the `with`."""
    # At its end it is told to what was told of its beginning.
    telling = active
    if telling is None:
        yield
        return
    telling.count_stream(1)
    try:
        yield
    finally:
        telling.count_stream(-1)
