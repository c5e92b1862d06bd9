"""Pages: the laboratory book with all measurements, and the page that says what to expect.

Each measured section stands between marks of its own. `make bench` writes the sections of the
laboratory book. The table and the plots of the other page are made of the book's tables alone, so
the two pages cannot disagree.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from tests.servers import ROOT

BOOK = ROOT / "docs" / "laboratory.md"
PAGE = ROOT / "docs" / "performance.md"
PLOTS = ROOT / "docs" / "plots"

# The cells of a table by row and column.
Table: TypeAlias = Mapping[str, Mapping[str, str]]


def write(page: Path, section: str, text: str) -> None:
    """Replace a section's text. Raise ValueError if the page has no place for the section."""
    before, _, after = _parts(page, section)
    begin, end = marks(section)
    page.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}")


def read(page: Path, section: str) -> str:
    """Return a section's text. Raise ValueError if the page has no place for the section."""
    return _parts(page, section)[1].strip()


def _parts(page: Path, section: str) -> tuple[str, str, str]:
    begin, end = marks(section)
    before, found, rest = page.read_text().partition(begin)
    text, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{page.name} has no place for {section!r}: {begin} … {end}")
    return before, text, after


def marks(section: str) -> tuple[str, str]:
    """Return the marks before and after a section's text."""
    return f"<!-- measured: {section} -->", f"<!-- end: {section} -->"


def tables(text: str) -> dict[str, Table]:
    """Return the Markdown tables of a text, each by the line that stands before it."""
    found: dict[str, Table] = {}
    table: dict[str, Mapping[str, str]] = {}
    title, columns = "", list[str]()
    for line in filter(None, text.splitlines()):
        if not line.startswith("|"):
            title, columns = line.strip("# :"), []
        elif not columns:
            columns = _cells(line)
            table = found[title] = {}
        elif not line.startswith("| ---"):
            cells = _cells(line)
            table[cells[0]] = dict(zip(columns, cells, strict=False))
    return found


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def number_in(cell: str) -> float | None:
    """Return the number that a cell holds, or None where it holds words or nothing."""
    try:
        return float(cell.replace(",", ""))
    except ValueError:
        return None
