"""Places: where in a task's log the cost of one more chunk is measured, and how it is told."""

from collections.abc import Sequence
from statistics import median, quantiles

# Chunks already written.
PLACES = (100, 5_000)
# So many chunks, half of them before the place, are timed together.
WINDOW = 180


def row(name: str, rounds: Sequence[Sequence[float]]) -> str:
    """Make a line of the table of one measurement's rounds, each with a figure for each place."""
    early, late = zip(*rounds, strict=True)
    ratios = [there / here for here, there in rounds]
    return (
        f"{name:<36} {_told(early):>24} {_told(late):>24} "
        f"{median(late) / median(early):>6.2f} {_told(ratios, digits=2):>20}"
    )


def heading() -> str:
    """Make the first line of the table."""
    here, there = (f"at {place:,}: us/chunk" for place in PLACES)
    return f"{'':<36} {here:>24} {there:>24} {'ratio':>6} {'in rounds':>20}"


def _told(figures: Sequence[float], *, digits: int = 0) -> str:
    """Give the median and, in brackets, where the middle half of the figures lies."""
    low, middle, high = quantiles(figures, n=4, method="inclusive")
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"
