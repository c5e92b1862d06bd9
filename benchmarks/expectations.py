"""Expectations: the table and the plots of docs/performance.md, made of the laboratory book.

    python -m benchmarks.expectations

It measures nothing. `python -m benchmarks --write` does the same after each section.
"""

from dataclasses import dataclass

from benchmarks import pages, plots
from benchmarks.lengths import LENGTHS, LIMIT_SECONDS
from benchmarks.lengths import column as column_of
from benchmarks.pages import Table
from benchmarks.servers import OURS, OURS_SQLITE, SDK_MEMORY, SDK_POSTGRESQL

SECTION = "expectations"
# The columns, and whose rows of the book they show.
COLUMNS = {
    "this app, PostgreSQL": OURS.name,
    "this app, SQLite": OURS_SQLITE.name,
    "SDK, PostgreSQL": SDK_POSTGRESQL.name,
    "SDK, in memory": SDK_MEMORY.name,
}
NOT_MEASURED = ""


@dataclass(frozen=True)
class Line:
    """A line of the table: a column of one of the book's tables."""

    operation: str
    unit: str
    section: str
    title: str
    """The title of the book's table, or how it begins."""
    column: str
    row: str = ""
    """The one row that there is. Empty: a row for each of `COLUMNS`."""
    ratios: bool = True
    """Whether this is the column that the book's table compares with the SDK's."""
    empty: str = NOT_MEASURED
    """What an empty cell of the book means."""

    def text(self) -> str:
        """Return the line, made of the book as it is now."""
        table = self.table()
        rows = [self.row] if self.row else COLUMNS.values()
        cells = [self._cell(table, row) for row in rows]
        cells += [NOT_MEASURED] * (len(COLUMNS) - len(cells))
        return f"| {self.operation} | {self.unit} | {' | '.join(cells)} |"

    def table(self) -> Table:
        """Return the book's table. Raise KeyError if there is none."""
        tables = pages.tables(pages.read(pages.BOOK, self.section))
        for title, table in tables.items():
            if title == self.title or title.startswith(f"{self.title} of "):
                return table
        raise KeyError(self.title)

    def _cell(self, table: Table, row: str) -> str:
        if row not in table:
            return NOT_MEASURED
        _, first, *_ = table[row].values()
        if pages.number_in(first) is None:
            # The reason why there are no figures, such as "never: …".
            return first.partition(":")[0]
        figure = table[row].get(self.column)
        ratio = table.get(OURS.name, {}).get(f"vs {row}") if self.ratios else None
        if not figure:
            return self.empty
        return f"{figure} ({ratio})" if ratio else figure


SHORTEST, *_, LONGEST = LENGTHS
LINES = (
    Line(
        "SendMessage, alone", "ms", "ladder", "On daphne", "ms", row="SendMessage", ratios=False
    ),
    Line("SendMessage, 10 clients", "per second", "requests", "blocking SendMessage", "per second"),
    Line("SendMessage, CPU time", "ms", "requests", "blocking SendMessage", "CPU ms", ratios=False),
    Line("GetTask, 10 clients", "per second", "requests", "GetTask, small", "per second"),
    Line("ListTasks, the newest 50", "per second", "requests", "ListTasks, 50", "per second"),
    Line(
        "Events of 10 streams", "per second", "streams",
        "10 streams of 100 chunks", "events per second",
    ),
    Line(
        "Events of 1,000 streams", "per second", "streams",
        "1,000 streams of 2 chunks", "events per second",
    ),
    Line(
        f"A chunk, in a stream of {SHORTEST:,}", "ms", "lengths",
        "One stream, by its length", column_of(SHORTEST),
    ),
    Line(
        f"A chunk, in a stream of {LONGEST:,}", "ms", "lengths",
        "One stream, by its length", column_of(LONGEST),
        ratios=False, empty=f"not in {LIMIT_SECONDS:.0f} s",
    ),
    Line(
        "Agent to 100 streams", "ms", "delays",
        "1 task with 100 streams, in its own process", "median, ms",
    ),
    Line(
        "Agent to another process", "ms", "delays",
        "5 tasks with 1 stream each, in another process", "median, ms",
    ),
    Line("Webhook notifications", "per second", "webhooks", "Webhooks", "per second"),
    Line("An idle stream's memory", "KB", "idle", "Idle streams", "KB per stream"),
    Line("Memory of a process", "MB", "footprint", "Start and memory", "MB at rest", ratios=False),
    Line(
        "Start, to the first answer", "s", "footprint",
        "Start and memory", "seconds to the first answer",
    ),
    Line(
        "Taken over after kill -9", "s", "recovery",
        "Taken over after kill -9, with the default lease of 15 s", "seconds",
    ),
)  # fmt: skip  # a line's place in the book stays together


def table() -> str:
    """Return the table."""
    heads = ["operation", "unit", *COLUMNS]
    rule = ["---", "---", *["---:"] * len(COLUMNS)]
    rows = [f"| {' | '.join(cells)} |" for cells in (heads, rule)]
    return "\n".join([*rows, *(line.text() for line in LINES), ""])


def write() -> None:
    """Write the conditions, the table and the plots."""
    pages.write(pages.PAGE, "conditions", pages.read(pages.BOOK, "conditions"))
    pages.write(pages.PAGE, SECTION, table())
    plots.draw(pages.PLOTS)


if __name__ == "__main__":
    write()
