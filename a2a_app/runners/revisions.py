"""Revisions: which turns that began under other code this process leaves to others."""

import logging
import time
from collections.abc import Collection
from datetime import timedelta

from django.utils import timezone

from a2a_app import conf, database
from a2a_app.agents import registry
from a2a_app.store.waiting import Begun, find_begun

logger = logging.getLogger(__name__)

# For so many leases processes that have the code may be on their way, as during a deploy.
PATIENCE_LEASES = 10
# How often it is said again that turns wait for code that nobody has.
PAUSE_SECONDS = 3600.0


class Revisions:
    """The revisions of agents' code that turns began under, and that this process lacks.

    It learns of one when it may not claim its turn, and by each sweep. From then on searches pass
    over its turns, however many there are.
    """

    def __init__(self) -> None:
        self._seen: set[tuple[str, str]] = set()
        self._said_at: dict[tuple[str, str], float] = {}

    def revision_for(self, agent: str, began: str) -> str | None:
        """Return under which revision a turn goes on here; None: this process lacks its code.

        Args:
            agent: The slug of its agent, which the process has.
            began: The revision under which it began. Empty: it did not, or under none.
        """
        if not _has_code(agent, began):
            self._learn(agent, began)
            return None
        # A test may have taken the agent away.
        return began or (registry.get(agent).revision if agent in registry.slugs() else "")

    def missing(self) -> Collection[tuple[str, str]]:
        """Return the revisions that turns began under and this process lacks, with their agents."""
        return [pair for pair in self._seen if not _has_code(*pair)]

    async def look(self) -> None:
        """Find turns that wait and began under a revision that this process lacks.

        It warns of those that have waited for so long that nobody seems to have it.
        """
        patience = PATIENCE_LEASES * conf.current().lease_time
        for begun in await database.read(find_begun, registry.slugs()):
            if not _has_code(begun.agent, begun.revision):
                self._learn(begun.agent, begun.revision)
                if begun.since < timezone.now() - patience:
                    self._warn(begun, patience)

    def _learn(self, agent: str, revision: str) -> None:
        if (agent, revision) not in self._seen:
            self._seen.add((agent, revision))
            logger.info(
                "Turns of the agent %r that began under its revision %r are left to processes "
                "that have it: here it is %r.",
                agent, revision, registry.get(agent).revision,
            )  # fmt: skip  # the values in one line

    def _warn(self, begun: Begun, patience: timedelta) -> None:
        pair = begun.agent, begun.revision
        now = time.monotonic()
        if now - self._said_at.get(pair, -PAUSE_SECONDS) >= PAUSE_SECONDS:
            self._said_at[pair] = now
            logger.warning(
                "%d turns of the agent %r have waited for more than %.0f s for a process with its "
                "revision %r.",
                begun.turns, begun.agent, patience.total_seconds(), begun.revision,
            )  # fmt: skip  # the values in one line


def _has_code(agent: str, revision: str) -> bool:
    return agent not in registry.slugs() or registry.get(agent).has_code_of(revision)
