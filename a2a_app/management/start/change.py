"""A change to one file of a project: shown as a diff, or written."""

import ast
import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Change:
    """What a file needs."""

    path: Path
    before: str = ""
    after: str | None = None
    """The whole new text. None: it is not certain where the lines belong."""
    advice: str = ""
    """The lines to write by hand where `after` is None."""

    @property
    def diff(self) -> str:
        """The change as `diff -u` shows it."""
        before, after = self.before.splitlines(True), (self.after or "").splitlines(True)
        return "".join(difflib.unified_diff(before, after, str(self.path), str(self.path)))

    def write(self) -> None:
        """Write the new text."""
        assert self.after is not None, "asked for only where it is known"
        with self.path.open("w", encoding="utf-8", newline="") as file:
            file.write(self.after)


def change(path: Path, edit: Callable[[str, ast.Module], str | None], advice: str) -> Change:
    """Edit the text of a Python file, and see that what comes of it is Python.

    Args:
        path: The file.
        edit: Returns the new text, of the old one and its syntax tree; None: it is not certain how.
        advice: What to write by hand in that case, or where the file is not UTF-8 or not Python.
    """
    before = ""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            before = file.read()
        # Whole lines are added, so the file's own ends of lines are put back afterwards.
        text = before.replace("\r\n", "\n")
        after = edit(text, ast.parse(text))
        if after is not None:
            ast.parse(after)
            after = after.replace("\n", "\r\n") if "\r\n" in before else after
    except (OSError, SyntaxError, ValueError):
        after = None
    return Change(path, before, after, advice)


def replace(text: str, node: ast.stmt | ast.expr, new: str) -> str:
    """Return the text with what a node spans replaced."""
    assert node.end_lineno is not None and node.end_col_offset is not None, "parsed from a text"
    start = _offset(text, node.lineno, node.col_offset)
    end = _offset(text, node.end_lineno, node.end_col_offset)
    return text[:start] + new + text[end:]


def insert(text: str, node: ast.expr, new: str, *, after: int = 0) -> str:
    """Return the text with something inserted so many characters after a node's start."""
    place = _offset(text, node.lineno, node.col_offset) + after
    return text[:place] + new + text[place:]


def _offset(text: str, line: int, column: int) -> int:
    """Return the place in a text of what the syntax tree counts in lines and bytes of UTF-8."""
    # By "\n" only: str.splitlines also splits at characters that end no line of Python.
    lines = text.split("\n")
    before = sum(len(each) + 1 for each in lines[: line - 1])
    return before + len(lines[line - 1].encode()[:column].decode())


def assigned(tree: ast.Module, name: str) -> list[ast.expr]:
    """Return the values that are assigned to a name at the top of a module, in order."""
    values: list[ast.expr] = []
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if value is not None and any(
            isinstance(target, ast.Name) and target.id == name for target in targets
        ):
            values.append(value)
    return values
