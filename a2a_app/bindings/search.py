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
# How many words of a text count.
MAX_WORDS = 200
# The publisher is a part of the identifier, and not what the entry says of it.
_PUBLISHER = re.compile(r"urn:air:([^:]+):")


def ranked(entries: Iterable[Json], text: str) -> list[tuple[int, Json]]:
    """Return the entries that fit a text, each with a score up to 100, the best first.

    The score is the share of the text's words that are in the entry, by where they are. A text
    without any word that says something fits all entries.
    """
    words = _words(text) - _EMPTY
    if not words:
        return [(0, entry) for entry in entries]
    scored = [(_score(entry, words), entry) for entry in entries]
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


def _score(entry: Json, words: set[str]) -> int:
    there = {name: _words(" ".join(_values(entry, name))) for name in WEIGHTS}
    best = sum(
        max((WEIGHTS[name] for name, found in there.items() if _has(found, word)), default=0)
        for word in words
    )
    return round(100 * best / (len(words) * max(WEIGHTS.values())))


def _has(found: set[str], word: str) -> bool:
    """Tell whether a word is among others, in any of its forms that begin alike."""
    if word in found or len(word) < _STEM:
        return word in found
    stem = word[: max(_STEM, len(word) - 3)]
    return any(each.startswith(stem) and len(each) - len(stem) <= _STEM for each in found)


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower())[:MAX_WORDS])
