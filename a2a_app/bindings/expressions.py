"""Expressions: the `filter` and the `orderBy` of a list of entries (ARD 0.91, 5.3.5, appendix A).

ARD names some fields and shows one form of each parameter. Whatever else is asked for is refused by
its name, so that nobody takes a list for one that was filtered.
"""

import re
from collections.abc import Callable, Iterable

from a2a_app import protocol
from a2a_app.agents.catalog import Json
from a2a_app.bindings.search import publisher_of

MAX_CHARACTERS = 2_000
# Entries have no times, so ARD's createdAfter and updatedAfter are not among these.
_FIELDS: dict[str, Callable[[Json, str], bool]] = {
    "displayName": lambda entry, value: str(entry["displayName"]).casefold() == value.casefold(),
    "type": lambda entry, value: entry["type"] == value,
    "publisherId": lambda entry, value: publisher_of(entry) == value,
}
# ARD's own text calls the name by either.
_SORTED = {"displayName": "displayName", "name": "displayName", "identifier": "identifier",
           "type": "type"}  # fmt: skip  # as one list
_TERM = re.compile(r"""\s*(\w+)\s*=\s*(?:'([^']*)'|"([^"]*)"|([^\s'"]+))\s*""")
_AND = re.compile(r"AND\s", re.IGNORECASE)


def selected(entries: Iterable[Json], expression: str) -> list[Json]:
    """Return the entries that fit an expression such as `type = 'a,b' AND displayName = 'c'`.

    Raises:
        InvalidParamsError: It has another form, or names a field by which nothing is filtered here.
    """
    terms = list(_terms(expression[: MAX_CHARACTERS + 1]))
    return [
        entry
        for entry in entries
        if all(any(_FIELDS[name](entry, value) for value in values) for name, values in terms)
    ]


def _terms(expression: str) -> Iterable[tuple[str, list[str]]]:
    if len(expression) > MAX_CHARACTERS:
        raise _refused("filter", f"must not be longer than {MAX_CHARACTERS} characters")
    at = 0
    while True:
        term = _TERM.match(expression, at)
        if term is None:
            rest = expression[at : at + 50]
            raise _refused("filter", f"must be terms such as type = 'a,b' joined by AND: {rest!r}")
        name, values = term[1], term[2] or term[3] or term[4] or ""
        if name not in _FIELDS:
            raise _refused(f"filter.{name[:50]}", f"is not one of {', '.join(_FIELDS)}")
        # A name may have commas in it.
        yield name, [values] if name == "displayName" else re.split(r"\s*,\s*", values)
        at = term.end()
        if at == len(expression):
            return
        if (joined := _AND.match(expression, at)) is None:
            raise _refused("filter", f"must have AND before {expression[at : at + 50]!r}")
        at = joined.end()


def ordered(entries: list[Json], order: str) -> list[Json]:
    """Return the entries in an order such as `type DESC, displayName`.

    Raises:
        InvalidParamsError: It names a field by which nothing is sorted here, or another direction.
    """
    for each in reversed(order.split(",")):
        name, *direction = each.split() or [""]
        if name not in _SORTED:
            raise _refused(f"orderBy.{name[:50]}", f"is not one of {', '.join(_SORTED)}")
        if len(direction) > 1 or "".join(direction).upper() not in ("", "ASC", "DESC"):
            raise _refused(f"orderBy.{name}", "has a direction that is neither ASC nor DESC")
        key, is_down = _SORTED[name], "".join(direction).upper() == "DESC"
        entries = sorted(entries, key=lambda entry: str(entry[key]).casefold(), reverse=is_down)
    return entries


def _refused(name: str, says: str) -> protocol.InvalidParamsError:
    return protocol.InvalidParamsError.of(name, says)
