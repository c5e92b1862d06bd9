"""Search: which entries of a catalog fit the words and the filter of a query (ARD 0.91, 5.3)."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from a2a_app import protocol
from a2a_app.agents.catalog import Json

# How much it counts that a word of the query is in a member of an entry.
WEIGHTS = {
    "displayName": 5,
    "tags": 4,
    "capabilities": 4,
    "representativeQueries": 3,
    "description": 2,
}
FILTERS = (
    "identifier", "displayName", "type", "tags", "capabilities", "publisher", "url",
)  # fmt: skip  # as one list
# Words that say nothing of what is looked for.
_EMPTY = frozenset(
    ("a", "agent", "agents", "an", "and", "can", "do", "find", "for", "get", "help", "i", "in",
     "is", "it", "me", "my", "need", "of", "on", "or", "that", "the", "to", "want", "which", "who",
     "with")
)  # fmt: skip  # a few words on each line
_STEM = 4
# How many words of a text count, and of a query, which is a sentence or two.
MAX_WORDS, MAX_QUERY_WORDS = 200, 30
# The publisher is a part of the identifier, and not what the entry says of it.
_PUBLISHER = re.compile(r"urn:air:([^:]+):")


def ranked(entries: Iterable[Json], text: str) -> list[tuple[int, Json]]:
    """Return the entries that fit a text, each with a score up to 100, the best first.

    The score is the share of the text's words that are in the entry, by where they are. A text
    without any word that says something fits all entries.
    """
    words = _words(text, MAX_QUERY_WORDS) - _EMPTY
    if not words:
        return [(0, entry) for entry in entries]
    wanted = _Wanted(words)
    scored = [(_score(entry, wanted), entry) for entry in entries]
    return sorted((each for each in scored if each[0]), key=lambda each: -each[0])


def filtered(entries: Iterable[Json], wanted: Any) -> Iterator[Json]:
    """Yield the entries that have, in each member that a filter names, one of its values.

    Raises:
        InvalidParamsError: It names a member by which entries are not filtered here.
    """
    if not isinstance(wanted, dict):
        raise protocol.InvalidParamsError.of("query.filter", "must be an object")
    for name in wanted:
        if name not in FILTERS:
            by = ", ".join(FILTERS)
            raise protocol.InvalidParamsError.of(f"query.filter.{name[:50]}", f"is not one of {by}")
    for entry in entries:
        if all(_fits(entry, name, values) for name, values in wanted.items()):
            yield entry


def _fits(entry: Json, name: str, values: Any) -> bool:
    among = values if isinstance(values, list) else [values]
    return any(value in among for value in _values(entry, name))


def _values(entry: Json, name: str) -> list[Any]:
    if name == "publisher":
        found = publisher_of(entry)
        return [found] if found else []
    value = entry.get(name, [])
    return value if isinstance(value, list) else [value]


def publisher_of(entry: Json) -> str:
    """Return the domain of an entry's publisher; "" where its identifier names none."""
    found = _PUBLISHER.match(entry["identifier"])
    return found[1] if found else ""


class _Wanted:
    """The words of a query, found by the words of an entry in any form that begins alike.

    Each word of an entry costs a few look-ups, however many words the query has.
    """

    def __init__(self, words: set[str]) -> None:
        self.words = words
        self._by_stem: dict[str, list[str]] = {}
        for word in words:
            if len(word) >= _STEM:
                stem = word[: max(_STEM, len(word) - 3)]
                self._by_stem.setdefault(stem, []).append(word)
        self._lengths = {len(stem) for stem in self._by_stem}

    def like(self, found: str) -> Iterator[str]:
        """Yield the words that a word of an entry is a form of."""
        if found in self.words:
            yield found
        for length in self._lengths:
            if len(found) - length <= _STEM:
                yield from self._by_stem.get(found[:length], ())


def _score(entry: Json, wanted: _Wanted) -> int:
    best = dict.fromkeys(wanted.words, 0)
    for name, weight in WEIGHTS.items():
        for found in _words(" ".join(_values(entry, name)), MAX_WORDS):
            for word in wanted.like(found):
                best[word] = max(best[word], weight)
    return round(100 * sum(best.values()) / (len(best) * max(WEIGHTS.values())))


def _words(text: str, most: int) -> set[str]:
    return set(re.findall(r"\w+", text.lower())[:most])
