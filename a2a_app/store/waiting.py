"""Waiting: the turns that nobody has begun, and whose turn comes first.

The oldest comes first while every owner may have more under way. Otherwise owners are gone through
in turn, each by one look at the index, however much of it waits.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from a2a_app import models
from a2a_app.concurrency.shares import Shares
from a2a_app.database.statements import Literal
from a2a_app.database.values import EPOCH, from_now
from a2a_app.models.owners import last_queue_beside

# How many owners one search looks at. The next search goes on where it has stopped.
LOOKS = 32
# How many turns that wait are counted.
COUNTED = 10_000
# An attempt that is not the first is not left to its queue for longer than this.
LONGEST_PAUSE = timedelta(minutes=1)
_LAST_QUEUE = (1 << 63) - 1


class WaitingTurn(NamedTuple):
    """A task with a turn that nobody has begun, and the task's owner."""

    task_id: UUID
    owner: str


class Begun(NamedTuple):
    """Turns of an agent that began under a revision of its code, and wait to go on."""

    agent: str
    revision: str
    turns: int
    """How many there are, and COUNTED of all agents at most."""
    since: datetime
    """Since when the oldest of them waits."""


class Search(NamedTuple):
    """What a search has found, and after which queue the next one begins."""

    turns: list[WaitingTurn]
    after: int


def find_waiting(
    *,
    agents: Collection[str],
    limit: int,
    room: Shares[str],
    after: int = -1,
    in_turn: bool = False,
    besides: Collection[tuple[str, str]] = (),
) -> Search:
    """Find turns that nobody has begun, and for whose owners there is room.

    Args:
        agents: The slugs of the agents that are meant.
        limit: How many turns at most.
        room: The places that owners have. What is found is counted in it.
        after: The queue after which a search in turn begins.
        in_turn: Whether owners take turns even if each of them may have more.
        besides: Agents with revisions of their code whose turns are left to others.
    """
    found: list[WaitingTurn] = []
    if not (in_turn or room.is_contended):
        for turn in _oldest(agents, besides, limit):
            if room.has_room(turn.owner):
                room.take(turn.owner)
                found.append(turn)
            else:
                in_turn = True
        if not in_turn:
            return Search(found, after)
    return _find_in_turn(agents, besides, limit, room, after, found)


def _whose(agents: Collection[str], besides: Collection[tuple[str, str]]) -> Q:
    whose = Q(task__agent__in=agents)
    for agent, revision in besides:
        whose &= ~Q(task__agent=agent, revision=revision)
    return whose


def _oldest(
    agents: Collection[str], besides: Collection[tuple[str, str]], limit: int
) -> list[WaitingTurn]:
    runs = models.Run.objects.filter(
        _whose(agents, besides), worker="", lease_until__lte=Now(), task__run=None
    )
    rows = runs.order_by("lease_until").values_list("task", "task__owner")[:limit]
    return [WaitingTurn._make(row) for row in rows]


def _find_in_turn(
    agents: Collection[str],
    besides: Collection[tuple[str, str]],
    limit: int,
    room: Shares[str],
    after: int,
    found: list[WaitingTurn],
) -> Search:
    """Add to `found` one turn of each owner for whom there is room, in the order of their queues.

    The queue after which it begins is also the last one to be looked at.
    """
    place, last = after, _LAST_QUEUE
    known = {turn.task_id for turn in found}
    for _ in range(LOOKS):
        row = _first_waiting(_whose(agents, besides), place, last)
        if row is not None:
            place = last_queue_beside(row["queue"])
            turn = WaitingTurn(row["task"], row["task__owner"])
            if turn.task_id not in known and room.has_room(turn.owner):
                room.take(turn.owner)
                found.append(turn)
        elif last == after:
            break
        else:
            place, last = -1, after
        if len(found) >= limit:
            break
    return Search(found, place)


def _first_waiting(whose: Q, after: int, last: int) -> Any:
    """Return the oldest turn of the next queue in which one waits that may be begun."""
    waiting: QuerySet[models.Run] = models.Run.objects.filter(
        started_at=None, ended_at=None, queue__gt=after, queue__lte=last
    )
    ready = waiting.filter(whose, lease_until__lte=Now(), task__run=None)
    return ready.order_by("queue", "lease_until").values("queue", "task", "task__owner").first()


def are_neglected(*, agents: Collection[str], patience: timedelta) -> bool:
    """Tell whether a turn of these agents has waited for so long, and nobody works on any turn."""
    unbegun = models.Run.objects.filter(
        worker="",
        attempt=1,  # a turn that was lost may be left alone for a while, on purpose
        lease_until__gt=EPOCH,  # as above: so is found what is not over
        created_at__lt=from_now(-patience),
        task__run=None,
        task__agent__in=agents,
    )
    held = models.Run.objects.filter(lease_until__gt=Now()).exclude(worker="")
    # In the order of the index: neither looks for any such row in the whole table.
    both = (rows.order_by("lease_until").values_list("pk") for rows in (unbegun, held))
    waiting, working = (rows.first() for rows in both)
    return waiting is not None and working is None


def count_by_agent(agents: Collection[str]) -> dict[str, int]:
    """Count the turns of each of these agents that nobody has begun, and COUNTED at most."""
    ready = models.Run.objects.filter(
        started_at=None,
        ended_at=None,
        lease_until__gt=EPOCH,  # none has a run that waits for something else than a worker
        task__run=None,
        task__agent__in=agents,
    )
    some = ready.order_by("queue", "lease_until").values("pk")[:COUNTED]
    counted = models.Run.objects.filter(pk__in=some).order_by().values_list("task__agent")
    return {**dict.fromkeys(agents, 0), **dict(counted.annotate(Count("pk")))}


def find_begun(agents: Collection[str]) -> list[Begun]:
    """Return which of these agents' turns wait that began under a revision of their code."""
    waiting = models.Run.objects.filter(
        worker="",
        ended_at=None,
        revision__gt=Literal(""),  # as text, by which it is found in the index
        lease_until__lte=Now(),
        task__agent__in=agents,
    )
    rows: QuerySet[Any, Any] = waiting.order_by("lease_until").values_list(
        "task__agent", "revision", "lease_until"
    )
    found: dict[tuple[str, str], Begun] = {}
    for agent, revision, since in rows[:COUNTED]:
        known = found.get((agent, revision), Begun(agent, revision, 0, since))
        found[agent, revision] = known._replace(turns=known.turns + 1)
    return list(found.values())


def overdue(
    *,
    agents: Collection[str],
    patience: timedelta,
    limit: int,
    besides: Collection[tuple[str, str]] = (),
) -> list[UUID]:
    """Return these agents' tasks with a turn that its queue has not brought to a worker in time.

    Each is returned to one process only, and again only when it is twice as old, so that a long
    queue does not grow longer. One that goes on is returned each LONGEST_PAUSE at least, since it
    may have come to a worker that lacks its code.

    Args:
        agents: The slugs of the agents.
        patience: How long a turn may wait before it counts.
        limit: How many tasks at most.
        besides: Agents with revisions of their code whose turns are left to others.
    """
    turns = models.Run.objects.filter(
        _whose(agents, besides), worker="", lease_until__lt=from_now(-patience), task__run=None
    )
    found = []
    for row in turns.order_by("lease_until")[:limit]:
        age = timezone.now() - row.created_at
        if row.attempt > 1:
            age = min(age, patience + LONGEST_PAUSE)
        if turns.filter(pk=row.pk).update(lease_until=from_now(age - patience)):
            found.append(row.task_id)
    return found


def wait_again(tasks: Collection[UUID]) -> None:
    """Have turns that `overdue` has returned, and no queue has taken, wait as if just stored."""
    put_off = models.Run.objects.filter(task__in=tasks, worker="", lease_until__gt=Now())
    put_off.update(lease_until=Now())
