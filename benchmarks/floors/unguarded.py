"""The reference project without what looks after the connections to its database.

What a kept connection and a silent one cost every unit of work is the difference to the project.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from a2a_app.concurrency.threads import Watch
from a2a_app.database import bridge
from project.asgi import application as application  # which is served from here


def _keep(connection: Any) -> bool:
    """Take a connection for a good one, without a look at it."""
    return True


def _nobody_watches(watch: Any, subject: Any, seconds: float) -> AbstractContextManager[None]:
    return nullcontext()


setattr(bridge, "_close_stale", _keep)  # noqa: B010  # what mypy takes for a mistake
setattr(Watch, "over", _nobody_watches)  # noqa: B010  # as above
