"""The timeline of a task: its attempts as bars, and its log with the chunks of artifacts folded.

A page takes as many statements however long the log is. The newest comes first.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Count, Max, Min, Sum
from django.db.models.functions import Left, Length, Right
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from pydantic_core import from_json

from a2a_app import models
from a2a_app.models.run import Outcome
from a2a_app.pages.contents import Budget
from a2a_app.pages.times import lasting

# How many lines, and how many attempts, a page has.
LINES = 200
RUNS = 50
# From when on it is said for how long an attempt has waited.
LONG_WAIT = timedelta(seconds=1)
# How many characters of an event are read, to say what it is about, and how many are shown.
READ_CHARACTERS = 1200
WORDS_CHARACTERS = 80
# How many characters of a traceback are shown, from its end.
TRACEBACK_CHARACTERS = 8000

TONES_OF_OUTCOMES: dict[str, str] = {
    Outcome.COMPLETED: "good",
    Outcome.YIELDED: "good",
    Outcome.ASKED: "asks",
    Outcome.PUT_AWAY: "neutral",
    Outcome.FAILED: "bad",
    Outcome.REJECTED: "bad",
    Outcome.LOST: "bad",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A change of the task's state, or all chunks that a turn has written of an artifact."""

    first: int
    last: int
    turn: int
    created_at: datetime
    state: str = ""
    """The state after it; empty for chunks."""
    words: str = ""
    artifact_id: str = ""

    @property
    def numbers(self) -> str:
        """Its number, or its numbers."""
        return str(self.first) if self.first == self.last else f"{self.first} … {self.last}"


@dataclass(frozen=True, slots=True)
class Timeline:
    """Some lines of a task's log, the newest first."""

    lines: list[Line]
    older: int | None
    """Where older ones begin to be left out; None: these are all."""


class Span(NamedTuple):
    """A time within that of a task, in thousandths of that."""

    x: int
    width: int


@dataclass(frozen=True, slots=True)
class Bar:
    """An attempt: until it began, and while it was at work."""

    run: models.Run
    waited: Span
    worked: Span | None
    tone: str
    words: str
    lasted: str
    waited_for: str
    """For how long it waited, where that is long enough to be said."""
    traceback: str


def read_lines(
    task: models.Task, before: int | None, names: dict[str, str], budget: Budget
) -> Timeline:
    """Read the newest lines of a task's log, or those before a number.

    Args:
        task: The task.
        before: The number.
        names: The names of artifacts, by their ids, as far as they may be shown.
        budget: How much there is room for.
    """
    events = models.Event.objects.filter(task=task.pk)
    changes = events.filter(artifact_id="")
    groups = events.exclude(artifact_id="").values("artifact_id", "turn").annotate(
        first=Min("seq"), last=Max("seq"), chunks=Count("seq"), size=Sum(Length("body")),
        begun=Min("created_at"), ended=Max("created_at"),
    )  # fmt: skip  # as one list
    if before is not None:
        changes, groups = changes.filter(seq__lt=before), groups.filter(last__lt=before)
    found: list[Any] = [
        *changes.order_by("-seq").values(
            "seq", "turn", "state", "created_at", start=Left("body", READ_CHARACTERS)
        )[: LINES + 1],
        *groups.order_by("-last")[: LINES + 1],
    ]
    newest = sorted(found, key=lambda row: row.get("last") or row["seq"], reverse=True)
    lines = [
        _group(row, names, budget) if "last" in row else _change(row, budget)
        for row in newest[:LINES]
    ]
    return Timeline(lines, lines[-1].last if len(newest) > LINES else None)


def _change(row: dict[str, Any], budget: Budget) -> Line:
    said = from_json(row["start"], allow_partial="trailing-strings")
    parts = said.get("statusUpdate", {}).get("status", {}).get("message", {}).get("parts", [])
    text = " ".join(str(part["text"]) for part in parts if "text" in part)
    words = budget.cut(text, WORDS_CHARACTERS)
    words += "…" if len(words) < len(text) else ""
    return Line(row["seq"], row["seq"], row["turn"], row["created_at"], row["state"], words)


def _group(row: dict[str, Any], names: dict[str, str], budget: Budget) -> Line:
    chunks = ngettext("%(count)s chunk", "%(count)s chunks", row["chunks"])
    words = _("%(name)s: %(chunks)s, %(size)s, %(time)s") % {
        "name": budget.cut(names.get(row["artifact_id"]) or row["artifact_id"], WORDS_CHARACTERS),
        "chunks": chunks % {"count": number_format(row["chunks"], force_grouping=True)},
        "size": filesizeformat(row["size"]),
        "time": lasting(row["ended"] - row["begun"]),
    }
    return Line(
        row["first"],
        row["last"],
        row["turn"],
        row["ended"],
        words=words,
        artifact_id=row["artifact_id"],
    )


def read_bars(task: models.Task, budget: Budget) -> list[Bar]:
    """Read the newest attempts at a task's turns, in the order in which they were made."""
    newest = task.runs.order_by("-turn", "-attempt").defer("metadata", "handed_on", "error")
    rows: list[Any] = list(newest.annotate(raised=Right("error", TRACEBACK_CHARACTERS))[:RUNS])
    now = timezone.now()
    begun = min([run.created_at for run in rows], default=now)
    scale = _Scale(begun, max([run.ended_at or now for run in rows], default=now))
    return [_bar(task, run, scale, now, budget) for run in reversed(rows)]


class _Scale(NamedTuple):
    """The time of a task, from its first attempt on."""

    begun: datetime
    end: datetime

    def span(self, start: datetime, stop: datetime) -> Span:
        """Return a time within it, which is long enough to be seen."""
        whole = max((self.end - self.begun).total_seconds(), 0.001)
        x = min(990, max(0, round((start - self.begun).total_seconds() / whole * 1000)))
        return Span(x, max(4, min(1000 - x, round((stop - start).total_seconds() / whole * 1000))))


def _bar(task: models.Task, run: Any, scale: _Scale, now: datetime, budget: Budget) -> Bar:
    stop = run.ended_at or now
    start = run.started_at or stop
    if run.outcome:
        words, tone = str(Outcome(run.outcome).label), TONES_OF_OUTCOMES.get(run.outcome, "neutral")
    elif run.pk == task.run_id:
        words, tone = (_("running"), "busy") if run.worker else (_("put away"), "neutral")
    else:
        words, tone = _("waiting"), "neutral"
    waited = start - run.created_at
    return Bar(
        run,
        waited=scale.span(run.created_at, start),
        worked=scale.span(start, stop) if run.started_at else None,
        tone=tone,
        words=words,
        lasted=lasting(stop - start) if run.started_at else "",
        waited_for=lasting(waited) if waited >= LONG_WAIT else "",
        traceback=budget.cut(run.raised, TRACEBACK_CHARACTERS),
    )
