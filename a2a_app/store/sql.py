"""Sql: a statement that changes something, with its values, before it is run."""

from collections.abc import Sequence
from typing import Any, NamedTuple


class Sql(NamedTuple):
    """The text of an INSERT or an UPDATE, and the values in its places."""

    text: str
    params: Sequence[Any]
    end: str = ""
    """What comes after the text, and after a condition where there is one."""

    @property
    def whole(self) -> str:
        """The statement as it is run on its own."""
        return self.text + self.end

    def where(self, condition: str) -> str:
        """Give it as one that does nothing unless a condition holds; for PostgreSQL only."""
        # Values are not in the text, so no value looks like it.
        joint = "AND" if " WHERE " in self.text else "WHERE"
        return f"{self.text} {joint} {condition}{self.end}"
