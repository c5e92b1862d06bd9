"""The database's clock, by which leases are measured: whether it has jumped of late."""

import logging
import time

from a2a_app import conf, database
from a2a_app.database.values import read_time

logger = logging.getLogger(__name__)


class DatabaseClock:
    """Compares the database's clock with one that cannot be set.

    A clock that is put forward, as when a machine resumes or after a failover to one with another
    clock, ends all leases at once. Their workers are well, and renew them within a third of a
    lease. So after a jump nothing may be taken over until a lease has passed.
    """

    def __init__(self) -> None:
        # How far the database's clock is ahead of ours; None: not yet known.
        self._ahead: float | None = None
        self._steady_from = 0.0

    async def is_steady(self) -> bool:
        """Ask for the time, and tell whether leases that are over may be believed.

        The first answer is yes, since there is nothing to compare it with.
        """
        asked = time.monotonic()
        now = (await database.read(read_time)).timestamp()
        answered = time.monotonic()
        ahead, before = now - answered, self._ahead
        self._ahead = ahead
        lease = conf.current().lease_time.total_seconds()
        # The answer may be as old as the question.
        if before is not None and abs(ahead - before) > lease / 3 + (answered - asked):
            self._steady_from = answered + lease
            logger.warning(
                "The database's clock has jumped by %.1f s. No run counts as lost for a lease.",
                ahead - before,
            )
        return answered >= self._steady_from
