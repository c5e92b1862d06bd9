"""The overview: figures as they are shown, with plots whose values can be read beside them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from a2a_app.figures import AgentFigures, Concern, Figures, History, Hour, Level, concerns_of
from a2a_app.figures.current import COUNTED
from a2a_app.pages.states import tone_of, words

# The size of the plot in its own units, and what its axes take of it.
WIDTH, HEIGHT = 480, 150
LEFT, BOTTOM, TOP = 34, 18, 12
# Half of the last hour's label.
RIGHT = 14
# Every so many hours have their time below the plot.
LABELLED = 6
# From the bottom of a bar to its top: the less there is to see to, the lower.
TONES = ("good", "neutral", "busy", "asks", "bad")
# The plot of durations: what the names and the values take of its width, and a row of its height.
NAMES, VALUES, ROW, THICK = 120, 110, 22, 12
# How many agents it has, those with the most tasks, and how much of a name.
AGENTS, NAME_CHARACTERS = 20, 18
TONE_OF_LEVEL = {Level.FINE: "good", Level.WARNING: "asks", Level.CRITICAL: "bad"}


class Card(NamedTuple):
    """One figure. Where there is more than it says, `is_more`."""

    title: "str | Promise"
    shown: int
    is_more: bool
    """Whether there are more than the count."""
    tone: str
    url: str


class Segment(NamedTuple):
    """A part of a bar: the tasks of some states."""

    y: float
    height: float
    tone: str


class Bar(NamedTuple):
    """The tasks of an hour, in the plot and in the table beside it."""

    hour: Hour
    x: float
    width: float
    segments: tuple[Segment, ...]
    states: tuple[tuple[str, int], ...]
    """The states in words, with the tasks in each."""
    total: int
    is_labelled: bool

    @property
    def middle(self) -> float:
        """Where its label stands."""
        return self.x + self.width / 2


class Duration(NamedTuple):
    """How long the tasks of an agent took: two bars, of which one goes on behind the other."""

    agent: AgentFigures
    name: str
    y: float
    median: float
    """How long the bar is within which half of the tasks ended."""
    percentile95: float

    @property
    def baseline(self) -> float:
        """Where its texts stand."""
        return self.y + THICK - 2

    @property
    def end(self) -> float:
        """Where the text after the bars begins."""
        return NAMES + self.percentile95 + 6


@dataclass(frozen=True, slots=True)
class Overview:
    """What the page shows."""

    figures: Figures
    cards: tuple[Card, ...]
    concerns: tuple[tuple[str, Concern], ...]
    """What somebody should see to, each with its tone."""
    bars: tuple[Bar, ...]
    highest: int
    """The tasks of the highest bar."""
    legend: tuple[tuple[str, str], ...]
    """The colours of the bars from the lowest part to the highest, and the states of each."""
    durations: tuple[Duration, ...]

    # What the template needs of the plot.
    width, height, left, top = WIDTH, HEIGHT, LEFT, TOP
    floor = HEIGHT - BOTTOM
    counted = COUNTED
    names, thick = NAMES, THICK

    @property
    def durations_height(self) -> int:
        """How high the plot of durations is."""
        return ROW * len(self.durations)


def read_overview(figures: Figures) -> Overview:
    """Return what the page shows of figures."""
    bars = tuple(_bars(figures.history))
    concerns = tuple((TONE_OF_LEVEL[each.level], each) for each in concerns_of(figures))
    highest = max((bar.total for bar in bars), default=0)
    durations = tuple(_durations(figures.history))
    return Overview(
        figures=figures,
        cards=tuple(_cards(figures)),
        concerns=concerns,
        bars=bars,
        highest=highest,
        legend=tuple(_legend(figures.history)),
        durations=durations,
    )


def _cards(found: Figures) -> Iterator[Card]:
    tasks, runs, webhooks = (
        reverse(f"admin:a2a_app_{name}_changelist")
        for name in ("task", "run", "pushnotificationconfig")
    )
    in_state = f"{tasks}?state=TASK_STATE_"
    shown = [
        (_("turns running"), found.running, "busy", runs),
        (_("turns waiting for a worker"), found.queued, "neutral", runs),
        (_("turns that lost their worker"), found.lost, "bad", f"{tasks}?stuck=lost"),
        (
            _("tasks waiting for input"),
            found.waiting_for_input,
            "asks",
            f"{in_state}INPUT_REQUIRED",
        ),
        (_("tasks waiting for login"), found.waiting_for_auth, "asks", f"{in_state}AUTH_REQUIRED"),
        (_("tasks of today that failed"), found.failed_today, "bad", f"{in_state}FAILED"),
        (_("webhooks failing"), found.webhooks_failing, "asks", f"{webhooks}?failing_since=no"),
        (_("webhooks given up"), found.webhooks_given_up, "bad", f"{webhooks}?dead_at=no"),
    ]
    for title, count, tone, url in shown:
        shown_count = min(count, COUNTED)
        yield Card(title, shown_count, count > COUNTED, tone if count else "neutral", url)


def _bars(history: History) -> Iterator[Bar]:
    totals = [sum(hour.states.values()) for hour in history.hours]
    highest = max(totals, default=0) or 1
    step = (WIDTH - LEFT - RIGHT) / max(1, len(totals))
    for number, (hour, total) in enumerate(zip(history.hours, totals, strict=True)):
        counts = sorted(hour.states.items(), key=lambda each: TONES.index(tone_of(each[0])))
        yield Bar(
            hour=hour,
            x=LEFT + step * number + step * 0.1,
            width=step * 0.8,
            segments=tuple(_segments(counts, (HEIGHT - BOTTOM - TOP) / highest)),
            states=tuple((words(state), count) for state, count in counts),
            total=total,
            is_labelled=(len(totals) - 1 - number) % LABELLED == 0,
        )


def _legend(history: History) -> Iterator[tuple[str, str]]:
    states = sorted({state for hour in history.hours for state in hour.states})
    for tone in TONES:
        if named := [words(state) for state in states if tone_of(state) == tone]:
            yield tone, ", ".join(named)


def _segments(counts: list[tuple[str, int]], scale: float) -> Iterator[Segment]:
    y = float(HEIGHT - BOTTOM)
    for state, count in counts:
        y -= count * scale
        yield Segment(y, count * scale, tone_of(state))


def _durations(history: History) -> Iterator[Duration]:
    busiest = sorted(history.agents, key=lambda each: -each.tasks)[:AGENTS]
    longest = max((each.percentile95 for each in busiest), default=0) or 1
    scale = (WIDTH - NAMES - VALUES) / longest
    for row, each in enumerate(sorted(busiest, key=lambda each: each.agent)):
        yield Duration(
            agent=each,
            name=Truncator(each.agent).chars(NAME_CHARACTERS),
            y=row * ROW + (ROW - THICK) / 2,
            median=each.median * scale,
            percentile95=each.percentile95 * scale,
        )
