"""Levels: which figures an operator should see to, and how soon."""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple

from django.utils.translation import gettext as _

from a2a_app.figures.current import Figures

QUEUE_SECONDS = (60, 300)
"""From which age of the oldest waiting turn on it is a warning, and critical."""
FAILED_PERCENT = (10, 50)
"""From which part on of the tasks that ended in the last hour the failed ones are one or other."""
FAILED_AT_LEAST = 10
"""With fewer failed tasks in the hour their part says nothing."""


class Level(IntEnum):
    """How soon somebody should look. The values are the exit codes of Nagios' plugins."""

    FINE = 0
    WARNING = 1
    CRITICAL = 2


class Concern(NamedTuple):
    """Something that an operator should see to."""

    level: Level
    text: str


def concerns_of(figures: Figures) -> list[Concern]:
    """Return what an operator should see to; nothing where all is well."""
    return [
        *_queue(figures),
        *_leases(figures),
        *_workers(figures),
        *_revisions(figures),
        *_failures(figures),
        *_webhooks(figures),
    ]


def worst_of(concerns: Iterable[Concern]) -> Level:
    """Return the highest level of some concerns."""
    return max((concern.level for concern in concerns), default=Level.FINE)


def _level(value: float, limits: tuple[float, float]) -> Level:
    return Level(sum(value >= limit for limit in limits))


def _queue(figures: Figures) -> Iterator[Concern]:
    if level := _level(figures.queue_seconds, QUEUE_SECONDS):
        text = _("The oldest turn has waited for a worker for %(seconds)d s.")
        yield Concern(level, text % {"seconds": figures.queue_seconds})


def _leases(figures: Figures) -> Iterator[Concern]:
    if figures.lost:
        text = _("Turns that lost their worker, and that no other has taken over: %(count)d.")
        yield Concern(Level.WARNING, text % {"count": figures.lost})


def _workers(figures: Figures) -> Iterator[Concern]:
    if figures.needs_workers and not figures.living:
        yield Concern(Level.CRITICAL, _("No worker lives: nobody works on turns."))


def _revisions(figures: Figures) -> Iterator[Concern]:
    for each in figures.stranded:
        text = _(
            "%(count)d turns of the agent %(agent)s wait for a process with its revision "
            "%(revision)s."
        )
        about = {"count": each.waiting, "agent": each.agent, "revision": each.name}
        yield Concern(Level.WARNING, text % about)


def _failures(figures: Figures) -> Iterator[Concern]:
    failed, ended = figures.history.failed_lately, figures.history.ended_lately
    if failed >= FAILED_AT_LEAST and (level := _level(100 * failed / ended, FAILED_PERCENT)):
        text = _("%(failed)d of %(ended)d tasks of the last hour have failed.")
        yield Concern(level, text % {"failed": failed, "ended": ended})


def _webhooks(figures: Figures) -> Iterator[Concern]:
    if figures.webhooks_given_up:
        text = _("Webhooks given up: %(count)d.")
        yield Concern(Level.WARNING, text % {"count": figures.webhooks_given_up})
