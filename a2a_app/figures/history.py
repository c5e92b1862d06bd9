"""What has become of the tasks of the last 24 hours: by hour and state, and by agent."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import NamedTuple
from uuid import UUID

from django.utils import timezone

from a2a_app import models
from a2a_app.database.values import first_key_at
from a2a_app.protocol import TaskState

HOURS = 24
SAMPLE = 10_000
"""How many of the newest tasks are looked at. On a busier site they reach back less far."""
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Hour:
    """The tasks that were begun in an hour."""

    begin: datetime
    states: Mapping[str, int]
    """How many of them are in each state now."""


@dataclass(frozen=True, slots=True)
class AgentFigures:
    """How long tasks of an agent took that have ended, in seconds from their message to the end."""

    agent: str
    tasks: int
    median: float
    percentile95: float


@dataclass(frozen=True, slots=True)
class History:
    """The tasks since a moment."""

    since: datetime
    """The first whole hour of which all tasks were looked at, or the oldest task's time."""
    is_whole: bool
    """Whether that is all of the last HOURS."""
    hours: tuple[Hour, ...]
    agents: tuple[AgentFigures, ...]
    events_per_second: float
    """Of the tasks that were begun in the last hour, or since `since`."""
    ended_lately: int
    """How many of these tasks have ended."""
    failed_lately: int
    """How many of those have failed."""


class _Row(NamedTuple):
    pk: UUID
    agent: str
    state: str
    created_at: datetime
    status_at: datetime
    seq: int


def read_history() -> History:
    """Read the newest tasks by one query, and count them."""
    now = timezone.now()
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    begin = this_hour - (HOURS - 1) * _HOUR
    newest = models.Task.objects.filter(pk__gte=first_key_at(begin)).order_by("-pk")
    rows = [_Row._make(row) for row in newest.values_list(*_Row._fields)[: SAMPLE + 1]]
    is_whole = len(rows) <= SAMPLE
    since = begin if is_whole else _first_whole(rows[-1].created_at, this_hour)
    lately = list(takewhile(lambda row: row.created_at > max(now - _HOUR, since), rows))
    seconds = max(1.0, (now - max(now - _HOUR, since)).total_seconds())
    ended = [row.state for row in lately if TaskState(row.state).is_terminal]
    return History(
        since=since,
        is_whole=is_whole,
        hours=tuple(_by_hour(rows, since, this_hour)),
        agents=tuple(_by_agent(rows)),
        events_per_second=sum(row.seq for row in lately) / seconds,
        ended_lately=len(ended),
        failed_lately=ended.count(TaskState.FAILED.value),
    )


def _first_whole(oldest: datetime, this_hour: datetime) -> datetime:
    """Return the hour after that of the oldest task; where there is none, when the task began."""
    following = oldest.replace(minute=0, second=0, microsecond=0) + _HOUR
    return following if following <= this_hour else oldest


def _by_hour(rows: Iterable[_Row], since: datetime, this_hour: datetime) -> Iterator[Hour]:
    counts: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for row in rows:
        ago = max(0, math.ceil((this_hour - row.created_at) / _HOUR))
        counts[ago][row.state] += 1
    for ago in range(HOURS - 1, -1, -1):
        begin = this_hour - ago * _HOUR
        if begin + _HOUR > since:
            yield Hour(begin, dict(counts[ago]))


def _by_agent(rows: Iterable[_Row]) -> Iterator[AgentFigures]:
    durations: defaultdict[str, list[float]] = defaultdict(list)
    for row in rows:
        if TaskState(row.state).is_terminal:
            durations[row.agent].append((row.status_at - row.created_at).total_seconds())
    for agent, seconds in sorted(durations.items()):
        seconds.sort()
        yield AgentFigures(agent, len(seconds), _percentile(seconds, 50), _percentile(seconds, 95))


def _percentile(ordered: list[float], percent: int) -> float:
    """Return the least value that so many percent of the values do not exceed."""
    return max(0.0, ordered[math.ceil(len(ordered) * percent / 100) - 1])
