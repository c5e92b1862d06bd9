"""Figures: what rounds have shown, and how tables tell it."""

from collections.abc import Mapping, Sequence
from statistics import median, quantiles
from typing import TypeAlias

# What one round has shown: the first column is what is compared.
Figure: TypeAlias = Mapping[str, float]
# All rounds; or, in words, why there are none.
Cell: TypeAlias = "list[Figure] | str"


def table(cells: Mapping[str, Cell], measures: Sequence[str] = (), *, less: bool = False) -> str:
    """Make a table: medians of the rounds, where the middle half of the first column lies, ratios.

    Args:
        cells: By the name of the row.
        measures: The rows that the others are compared to.
        less: Whether less is better. A ratio above 1 is better in any case.
    """
    columns = list(dict.fromkeys(name for cell in cells.values() for name in _columns(cell)))
    if not columns:
        rows = [f"| {name} | {cell} |" for name, cell in cells.items()]
        return "\n".join(["| server | |", "| --- | --- |", *rows, ""])
    measured = {name: cell for name in measures if isinstance(cell := cells.get(name), list)}
    heads = [columns[0], "middle half", *columns[1:], *(f"to {name}" for name in measured)]
    lines = [f"| server | {' | '.join(heads)} |", f"| --- |{' ---: |' * len(heads)}"]
    for name, cell in cells.items():
        if isinstance(cell, str):
            told = [cell, *[""] * (len(heads) - 1)]
        else:
            ratios = [ratio(cell, each, columns[0], less=less) for each in measured.values()]
            told = [*_medians(cell, columns), *(f"{each:.2f}" if each else "" for each in ratios)]
        lines.append(f"| {name} | {' | '.join(told)} |")
    return "\n".join([*lines, ""])


def _medians(cell: Sequence[Figure], columns: Sequence[str]) -> list[str]:
    first, *others = [
        number(middle(cell, column)) if any(column in figure for figure in cell) else ""
        for column in columns
    ]
    return [first, spread([figure[columns[0]] for figure in cell]), *others]


def _columns(cell: Cell) -> list[str]:
    return [] if isinstance(cell, str) else [name for figure in cell for name in figure]


def middle(cell: Sequence[Figure], column: str) -> float:
    """Give the median of a column's rounds."""
    return median(figure[column] for figure in cell if column in figure)


def ratio(
    ours: Sequence[Figure], theirs: Sequence[Figure], column: str, *, less: bool = False
) -> float | None:
    """Give the median of a column's ratios in the rounds; above 1, ours is better.

    A machine that is slow for minutes is so for all that a round compares, and not for all rounds:
    the ratio of two medians may be one of two speeds of the machine.
    """
    ratios = []
    for our, their in zip(ours, theirs, strict=True):
        above, below = (their, our) if less else (our, their)
        if above.get(column) is not None and below.get(column):
            ratios.append(above[column] / below[column])
    return median(ratios) if ratios else None


def spread(values: Sequence[float]) -> str:
    """Tell where the middle half of the values lies."""
    if len(values) < 2:
        return ""
    low, _, high = quantiles(values, n=4, method="inclusive")
    return f"{number(low)} to {number(high)}"


def number(value: float) -> str:
    """Write a number with as many digits as say something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"
