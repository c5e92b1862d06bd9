"""What runs, waits and fails now."""

from dataclasses import dataclass, replace
from datetime import datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.core.cache import cache
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from a2a_app import __version__, conf, database, models, runners
from a2a_app.agents import registry
from a2a_app.database.statements import Literal
from a2a_app.database.values import EPOCH, first_key_at
from a2a_app.figures.history import History, read_history
from a2a_app.figures.workers import Worker, read_workers
from a2a_app.protocol import TaskState

COUNTED = 10_000
"""How far rows are counted. A figure that is greater by one means: more than these."""
CACHED_SECONDS = 10
# For so many leases a process with the code of a turn may be on its way, as during a deploy.
STRANDED_AFTER_LEASES = 10
# Objects of another version may have other fields.
_CACHE_KEY = f"a2a_app.figures.{__version__}"


@dataclass(frozen=True, slots=True)
class Revision:
    """The turns of an agent that began under one revision of its code, and are not over."""

    agent: str
    name: str
    turns: int
    waiting: int
    """How many of them wait for a worker."""
    waiting_since: datetime | None
    """Since when the first of those waits; None: there is none."""
    is_here: bool
    """Whether this process has its code."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What an operator watches, as of one moment. Counts end at COUNTED + 1."""

    read_at: datetime
    running: int
    """Turns that are worked on."""
    queued: int
    """Turns that wait for a worker, and for nothing else."""
    oldest_queued_at: datetime | None
    """Since when the oldest of these waits; None: there is none."""
    lost: int
    """Turns whose worker has let its lease run out, and which no process has taken over yet."""
    waiting_for_input: int
    """Tasks that wait for an answer of their client."""
    waiting_for_auth: int
    """Tasks that wait until their client has authorized something."""
    failed_today: int
    """Tasks that were begun since midnight and have failed."""
    webhooks_failing: int
    """Webhooks that are tried again."""
    webhooks_given_up: int
    workers: tuple[Worker, ...]
    """The workers that live, and those that have lately gone without a word."""
    needs_workers: bool
    """Whether turns wait for ever where none of these lives."""
    revisions: tuple[Revision, ...]
    """What began under revisions that agents declare: of the first COUNTED turns."""
    history: History

    @property
    def stranded(self) -> tuple[Revision, ...]:
        """Turns that have waited for long for code that this process does not have."""
        then = self.read_at - STRANDED_AFTER_LEASES * conf.current().lease_time
        return tuple(
            each
            for each in self.revisions
            if not each.is_here and each.waiting_since is not None and each.waiting_since < then
        )

    @property
    def living(self) -> tuple[Worker, ...]:
        """The workers that live."""
        return tuple(each for each in self.workers if each.lives)

    @property
    def queue_seconds(self) -> float:
        """For how long the oldest turn that waits for a worker does so; 0: there is none."""
        since = self.oldest_queued_at
        return 0.0 if since is None else max(0.0, (self.read_at - since).total_seconds())


def cached() -> Figures:
    """Return figures that are CACHED_SECONDS old at most, by Django's cache."""
    found: Figures | None = cache.get(_CACHE_KEY)
    if found is None:
        found = read()
        cache.set(_CACHE_KEY, found, CACHED_SECONDS)
    return found


async def fetch() -> Figures:
    """Return what `cached` does. The database is asked on one of the app's own threads.

    Raises:
        AwayError: The database cannot serve for now.
    """
    found: Figures | None = await cache.aget(_CACHE_KEY)
    if found is None:
        found = await database.read(read)
        await cache.aset(_CACHE_KEY, found, CACHED_SECONDS)
    return found


def read() -> Figures:
    """Read all figures. Call it where the database may be asked."""
    workers = read_workers()
    queued = [since for since, _ in queued_turns()]
    failing = _failing()
    return Figures(
        read_at=timezone.now(),
        running=sum(worker.turns for worker in workers),
        queued=len(queued),
        oldest_queued_at=min(queued, default=None),
        lost=_counted(lost_runs().order_by("lease_until")),
        waiting_for_input=_counted(_in_state(TaskState.INPUT_REQUIRED)),
        waiting_for_auth=_counted(_in_state(TaskState.AUTH_REQUIRED)),
        failed_today=_counted(_failed_since(_midnight())),
        webhooks_failing=failing.count(False),
        webhooks_given_up=failing.count(True),
        workers=tuple(workers),
        needs_workers=runners.current().needs_workers,
        revisions=tuple(_revisions()),
        history=read_history(),
    )


def _counted(rows: Any) -> int:
    count: int = rows[: COUNTED + 1].count()
    return count


def queued_turns() -> list[tuple[datetime, UUID]]:
    """Return the turns that wait for a worker and for nothing else: since when, and their tasks."""
    # Without a lease it waits for something else.
    waiting = models.Run.objects.filter(started_at=None, ended_at=None, lease_until__gt=EPOCH)
    # Not joined: SQLite would go through the tasks to find their runs.
    busy = models.Task.objects.filter(pk=OuterRef("task"), run__isnull=False)
    rows = waiting.annotate(is_behind=Exists(busy)).order_by("queue", "lease_until")
    found = rows.values_list("created_at", "task", "is_behind")[: COUNTED + 1]
    return [(since, task) for since, task, is_behind in found if not is_behind]


def _revisions() -> list[Revision]:
    begun = models.Run.objects.filter(ended_at=None, revision__gt=Literal(""))
    columns = ("task__agent", "revision", "worker", "lease_until")
    rows: Any = begun.order_by("lease_until").values_list(*columns)
    now = timezone.now()
    found: dict[tuple[str, str], Revision] = {}
    for agent, name, worker, due_at in rows[:COUNTED]:
        new = Revision(agent, name, 0, 0, None, _is_here(agent, name))
        known = found.get((agent, name), new)
        waits = not worker and due_at is not None and due_at <= now
        found[agent, name] = replace(
            known,
            turns=known.turns + 1,
            waiting=known.waiting + waits,
            waiting_since=known.waiting_since or (due_at if waits else None),
        )
    return sorted(found.values(), key=attrgetter("agent", "name"))


def _is_here(agent: str, revision: str) -> bool:
    return agent in registry.slugs() and registry.get(agent).has_code_of(revision)


def lost_runs() -> "QuerySet[models.Run]":
    """Return the runs whose worker has let their lease run out."""
    over = models.Run.objects.filter(lease_until__gt=EPOCH, lease_until__lt=Now())
    return over.exclude(worker="")


def _in_state(state: TaskState) -> Any:
    return models.Task.objects.filter(state=Literal(state.value)).order_by("-pk")


def _failed_since(moment: datetime) -> Any:
    return _in_state(TaskState.FAILED).filter(pk__gte=first_key_at(moment))


def _failing() -> list[bool]:
    """Return of each webhook that fails whether it is given up."""
    failing = models.PushNotificationConfig.objects.filter(failing_since__gt=EPOCH)
    rows = failing.order_by("failing_since").values_list("dead_at", flat=True)
    return [dead_at is not None for dead_at in rows[: COUNTED + 1]]


def _midnight() -> datetime:
    return timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
