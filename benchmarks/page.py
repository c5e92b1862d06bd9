"""The page: docs/performance.md, where each section's figures stand between marks of its own."""

from tests.servers import ROOT

PAGE = ROOT / "docs" / "performance.md"
PLOTS = ROOT / "docs" / "plots"


def write(section: str, text: str) -> None:
    """Put new figures in the place of a section's old ones; raises ValueError if it has none."""
    begin, end = marks(section)
    before, found, rest = PAGE.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"docs/performance.md has no place for {section!r}: {begin} … {end}")
    PAGE.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}")


def marks(section: str) -> tuple[str, str]:
    """Give what stands before and after a section's figures."""
    return f"<!-- measured: {section} -->", f"<!-- end: {section} -->"
