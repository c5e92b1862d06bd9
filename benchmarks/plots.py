"""Plots: pictures of what the tables say, in docs/plots, the same for the same figures."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from benchmarks import lengths
from benchmarks.figures import Cell, Figure, middle, ratio
from benchmarks.servers import FASTA2A, OURS, OURS_SQLITE, SDK_CLUSTER, SDK_MEMORY, SDK_POSTGRESQL

Found = Mapping[str, Mapping[str, Cell]]
# One colour a server, in every picture: what forgets its tasks is grey.
COLOURS = {
    SDK_MEMORY.name: "#9a9a9a",
    FASTA2A.name: "#c9c9c9",
    SDK_POSTGRESQL.name: "#c2703d",
    SDK_CLUSTER.name: "#e0a878",
    OURS_SQLITE.name: "#7aa6d6",
    OURS.name: "#1f5fa8",
}
# Text stays text, and ids do not change from run to run.
STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "a2a_app", "font.size": 9.0}


def of(section: str, found: Found, folder: Path) -> list[str]:
    """Draw a section's picture, where it has one; gives the lines that show it in the page."""
    if section not in DRAWN:
        return []
    draw, title = DRAWN[section]
    with matplotlib.rc_context(STYLE):
        picture = Picture(figsize=(7, 3.6), layout="constrained")
        axes = picture.add_subplot()
        draw(axes, found)
        picture.legend(loc="outside upper center", ncols=3, frameon=False)
        folder.mkdir(exist_ok=True)
        picture.savefig(folder / f"{section}.svg", metadata={"Date": None, "Creator": None})
    return [f"![{title}](plots/{section}.svg)", ""]


def _lengths(axes: Axes, found: Found) -> None:
    [cells] = found.values()
    for name, colour in COLOURS.items():
        rounds = _rounds(cells, name)
        points = [
            (chunks, middle(rounds, column))
            for chunks in lengths.LENGTHS
            if any((column := lengths.column(chunks)) in each for each in rounds)
        ]
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", color=colour, label=name)
    axes.set(xscale="log", yscale="log", xlabel="chunks in the stream", ylabel="ms a chunk")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xticks(lengths.LENGTHS, [f"{chunks:,}" for chunks in lengths.LENGTHS])
    axes.minorticks_off()


def _ratios(axes: Axes, found: Found) -> None:
    """Draw bars from 1 to how many times as many as the SDK on PostgreSQL a server does."""
    height = 0.8 / len(COLOURS)
    for index, (name, colour) in enumerate(COLOURS.items()):
        widths = [_ratio(cells, name) - 1 for cells in found.values()]
        places = [place + index * height for place in range(len(found))]
        axes.barh(places, widths, height, left=1, color=colour, label=name)
    axes.set_yticks([place + 0.4 - height / 2 for place in range(len(found))], list(found))
    axes.invert_yaxis()
    axes.axvline(1, color="#555555", linewidth=0.8)
    axes.set(xscale="log", xlabel=f"times as many as {SDK_POSTGRESQL.name}")
    axes.xaxis.set_major_formatter("{x:g}")


def _ratio(cells: Mapping[str, Cell], name: str) -> float:
    ours, theirs = _rounds(cells, name), _rounds(cells, SDK_POSTGRESQL.name)
    if not (ours and theirs):
        return 1.0
    return ratio(ours, theirs, next(iter(ours[0]))) or 1.0


def _rounds(cells: Mapping[str, Cell], name: str) -> list[Figure]:
    cell = cells.get(name, "")
    return cell if isinstance(cell, list) else []


DRAWN: dict[str, tuple[Callable[[Axes, Found], None], str]] = {
    "requests": (_ratios, "Requests a second, compared to the SDK on PostgreSQL"),
    "streams": (_ratios, "Events a second, compared to the SDK on PostgreSQL"),
    "lengths": (_lengths, "What a chunk costs, by the length of its stream"),
}
