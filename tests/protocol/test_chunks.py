"""Where text goes on from one chunk of an artifact to the next, and where it does not."""

from typing import Any

import pytest

from a2a_app.protocol import Part
from a2a_app.protocol.messages import join_chunks, plain_text_of

NAMED: dict[str, Any] = {"text": "n", "filename": "n.txt"}
KINDS: list[dict[str, Any]] = [
    NAMED,
    {"text": "n", "mediaType": "text/html"},
    {"text": "n", "metadata": {"a": 1}},
    {"data": None},
    {"url": "u"},
    {"raw": "AA=="},
]


def t(*texts: str) -> list[dict[str, Any]]:
    return [{"text": text} for text in texts]


@pytest.mark.parametrize(
    ("chunks", "parts"),
    [
        ([], []),
        ([t("a")], t("a")),
        ([t("a"), t("b"), t("c")], t("abc")),
        ([t("a", "b"), t("c"), t("d", "e")], t("a", "bcd", "e")),
        ([t("a"), [NAMED], t("b"), t("c")], [*t("a"), NAMED, *t("bc")]),
        ([[*t("a"), NAMED], t("b")], [*t("a"), NAMED, *t("b")]),
        *[([[kind], t("a"), [kind], [kind]], [kind, *t("a"), kind, kind]) for kind in KINDS],
        ([t(""), t("")], t("")),
    ],
)
def test_text_is_joined_from_chunk_to_chunk_and_nothing_else_is(chunks: Any, parts: Any) -> None:
    assert join_chunks(chunks, plain_text_of, lambda text: {"text": text}) == parts
    made = [[Part.unchecked_from_dict(part) for part in chunk] for chunk in chunks]
    joined = join_chunks(made, lambda part: part.plain_text, lambda text: Part(text=text))
    assert [part.to_dict() for part in joined] == parts
