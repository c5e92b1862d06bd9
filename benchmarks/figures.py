"""Figures: what rounds have shown, and the tables that are made of it."""

from collections.abc import Mapping, Sequence
from statistics import median, quantiles
from typing import TypeAlias

# What one round has shown, by column. The first column is the one that is compared.
Figure: TypeAlias = Mapping[str, float]
# All rounds, or the reason why there are none.
Cell: TypeAlias = "list[Figure] | str"


def table(cells: Mapping[str, Cell], measures: Sequence[str] = (), *, less: bool = False) -> str:
    """Return a Markdown table of medians, with the first column's spread and its ratios.

    Args:
        cells: The rounds of each row, by the row's name.
        measures: The rows that the others are compared to, each by a column of ratios.
        less: Whether less is better. A ratio above 1 is the better one in any case.
    """
    columns = list(dict.fromkeys(name for cell in cells.values() for name in _columns(cell)))
    if not columns:
        rows = [f"| {name} | {cell} |" for name, cell in cells.items()]
        return "\n".join(["| server | |", "| --- | --- |", *rows, ""])
    measured = {name: cell for name in measures if isinstance(cell := cells.get(name), list)}
    heads = [columns[0], "middle half", *columns[1:], *(f"vs {name}" for name in measured)]
    lines = [f"| server | {' | '.join(heads)} |", f"| --- |{' ---: |' * len(heads)}"]
    for name, cell in cells.items():
        if isinstance(cell, str):
            shown = [cell, *[""] * (len(heads) - 1)]
        else:
            ratios = [ratio(cell, each, columns[0], less=less) for each in measured.values()]
            shown = [*_medians(cell, columns), *(f"{each:.2f}" if each else "" for each in ratios)]
        lines.append(f"| {name} | {' | '.join(shown)} |")
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
    """Return the median of a column's rounds."""
    return median(figure[column] for figure in cell if column in figure)


def ratio(
    ours: Sequence[Figure], theirs: Sequence[Figure], column: str, *, less: bool = False
) -> float | None:
    """Return the median of a column's ratios in the rounds. Above 1, ours is better.

    A machine may be slow for minutes. It is then slow for everything that a round compares, but
    not in every round. A ratio of two medians might compare two speeds of the machine.
    """
    ratios = []
    for our, their in zip(ours, theirs, strict=True):
        above, below = (their, our) if less else (our, their)
        if above.get(column) is not None and below.get(column):
            ratios.append(above[column] / below[column])
    return median(ratios) if ratios else None


def spread(values: Sequence[float]) -> str:
    """Return the range in which the middle half of the values lies, as text."""
    if len(values) < 2:
        return ""
    low, _, high = quantiles(values, n=4, method="inclusive")
    return f"{number(low)} to {number(high)}"


def number(value: float) -> str:
    """Return a number as text, with about three digits that matter."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"
