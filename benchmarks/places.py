"""Places: where in a task's log one more chunk is measured, and the table of the results."""

from collections.abc import Sequence
from statistics import median, quantiles

# So many chunks are already written.
PLACES = (100, 5_000)
# So many chunks, half of them before the place, are timed together.
WINDOW = 180


def row(name: str, rounds: Sequence[Sequence[float]]) -> str:
    """Return a line of the table: one measurement's rounds, each with a figure for each place."""
    early, late = zip(*rounds, strict=True)
    ratios = [there / here for here, there in rounds]
    return (
        f"{name:<36} {_summary(early):>24} {_summary(late):>24} "
        f"{median(late) / median(early):>6.2f} {_summary(ratios, digits=2):>20}"
    )


def heading() -> str:
    """Return the first line of the table."""
    here, there = (f"at {place:,}: us/chunk" for place in PLACES)
    return f"{'':<36} {here:>24} {there:>24} {'ratio':>6} {'in rounds':>20}"


def _summary(figures: Sequence[float], *, digits: int = 0) -> str:
    """Return the median and, in brackets, the range of the middle half."""
    low, middle, high = quantiles(figures, n=4, method="inclusive")
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"
