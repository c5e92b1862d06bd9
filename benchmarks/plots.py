"""Plots: pictures of the laboratory book's tables, in docs/plots, for light and dark pages.

Each is one SVG with a style sheet, which changes the colours where the reader prefers a dark
scheme. It has a background of its own, and so is legible wherever it is shown. The same tables make
the same picture.
"""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import LogLocator

from benchmarks import pages
from benchmarks.lengths import LENGTHS, column
from benchmarks.pages import Table
from benchmarks.servers import FASTA2A, OURS, OURS_SQLITE, SDK_CLUSTER, SDK_MEMORY, SDK_POSTGRESQL

TEXT, LINES, BACKGROUND = "#1f2328", "#d1d9e0", "#ffffff"
# One colour for each server, in every picture. Those that forget their tasks are grey.
COLOURS = {
    OURS.name: "#1f5fa8",
    OURS_SQLITE.name: "#6f9fd3",
    SDK_POSTGRESQL.name: "#bc5c22",
    SDK_CLUSTER.name: "#dd9b66",
    SDK_MEMORY.name: "#6e7781",
    FASTA2A.name: "#a3abb4",
}
MARKERS = dict(zip(COLOURS, "osv^DX", strict=True))
# What each colour is on dark pages.
DARK = {
    TEXT: "#e6edf3",
    LINES: "#3d444d",
    BACKGROUND: "#0d1117",
    "#1f5fa8": "#58a6ff",
    "#6f9fd3": "#3272b8",
    "#bc5c22": "#f0883e",
    "#dd9b66": "#a8602b",
    "#6e7781": "#afb8c1",
    "#a3abb4": "#6e7781",
}
# Text stays text, and ids do not change from run to run.
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "a2a_app",
    "font.size": 10.0,
    "axes.titlesize": 9.0,
    "axes.titlelocation": "left",
    "axes.facecolor": "none",
    "axes.edgecolor": LINES,
    "axes.labelcolor": TEXT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": BACKGROUND,
    "savefig.facecolor": BACKGROUND,
    "grid.color": LINES,
    "text.color": TEXT,
    "xtick.color": LINES,
    "xtick.labelcolor": TEXT,
    "ytick.color": LINES,
    "ytick.labelcolor": TEXT,
}


def draw(folder: Path) -> None:
    """Draw all plots."""
    folder.mkdir(exist_ok=True)
    for section, picture_of in DRAWN.items():
        tables = pages.tables(pages.read(pages.BOOK, section))
        (folder / f"{section}.svg").write_text(svg(picture_of, tables))


def svg(picture_of: Callable[[Mapping[str, Table]], Picture], tables: Mapping[str, Table]) -> str:
    """Return the plot of a section's tables, with the colours of both schemes."""
    with matplotlib.rc_context(STYLE):
        written = io.StringIO()
        picture_of(tables).savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    before, definitions, after = written.getvalue().partition("<defs>")
    # Matplotlib leaves spaces at the ends of lines.
    drawn = "\n".join(line.rstrip() for line in after.splitlines())
    return f"{before}{_dark_style()}{definitions}{drawn}\n"


def _dark_style() -> str:
    """Return a style sheet that replaces each colour where the reader prefers a dark scheme."""
    rules = "\n".join(
        f'  [style*="{kind}: {light}"] {{ {kind}: {dark} !important }}'
        for light, dark in DARK.items()
        for kind in ("fill", "stroke")
    )
    return f"<style>\n@media (prefers-color-scheme: dark) {{\n{rules}\n}}\n</style>\n "


def _requests(tables: Mapping[str, Table]) -> Picture:
    title = "Requests per second, ten clients (more is better)"
    return _bars(tables, "per second", title, "requests per second", columns=2)


def _streams(tables: Mapping[str, Table]) -> Picture:
    title = "Events per second, all streams together (more is better)"
    return _bars(tables, "events per second", title, "events per second", columns=3)


def _bars(
    tables: Mapping[str, Table], figures: str, title: str, unit: str, *, columns: int
) -> Picture:
    """Draw the figures of each table as bars, with so many tables beside each other."""
    rows = -(-len(tables) // columns)
    layout = ConstrainedLayoutEngine(hspace=0.08, wspace=0.04)
    picture = Picture(figsize=(8, 0.4 + 2.2 * rows), layout=layout)
    picture.suptitle(title, fontsize=12.0, fontweight="bold")
    for place, (name, table) in enumerate(tables.items()):
        axes = picture.add_subplot(rows, columns, place + 1)
        _bars_of(axes, table, figures)
        axes.set_title(name)
        axes.set_xlabel(unit)
        if place % columns:
            axes.set_yticklabels([])
    return picture


def _bars_of(axes: Axes, table: Table, figures: str) -> None:
    for place, (server, colour) in enumerate(COLOURS.items()):
        cell = table.get(server, {}).get(figures, "not measured")
        width = pages.number_in(cell) or 0
        # In place of a figure there may be a reason, such as "never: …".
        text = cell.partition(":")[0]
        axes.barh(place, width, color=colour)
        axes.annotate(text, (width, place), (4, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(COLOURS)), list(COLOURS))
    axes.tick_params(left=False)
    axes.invert_yaxis()
    # Beside the longest bar there is room for its figure.
    axes.margins(x=0.4)
    axes.locator_params(axis="x", nbins=2)
    axes.xaxis.set_major_formatter("{x:,.0f}")


def _lengths(tables: Mapping[str, Table]) -> Picture:
    [table] = tables.values()
    picture = Picture(figsize=(8, 4), layout="constrained")
    title = "Time per chunk, by the length of its stream (less is better)"
    picture.suptitle(title, fontsize=12.0, fontweight="bold")
    axes = picture.add_subplot()
    for server, colour in COLOURS.items():
        cells = [(chunks, table.get(server, {}).get(column(chunks), "")) for chunks in LENGTHS]
        points = [(chunks, cost) for chunks, cell in cells if (cost := pages.number_in(cell))]
        if points:
            lengths, costs = zip(*points, strict=True)
            axes.plot(lengths, costs, marker=MARKERS[server], color=colour, label=server)
    axes.set(xscale="log", yscale="log", xlabel="chunks in the stream", ylabel="ms per chunk")
    axes.set_xticks(LENGTHS, [f"{chunks:,}" for chunks in LENGTHS])
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.grid(axis="y")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return picture


DRAWN = {"requests": _requests, "streams": _streams, "lengths": _lengths}
