"""What pages make of texts, and of times."""

from datetime import timedelta

import pytest
from django.utils.translation import override

from a2a_app.pages.contents import Budget
from a2a_app.pages.markdown import markdown
from a2a_app.pages.times import lasting


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("one\ntwo", "<p>one<br>\ntwo</p>\n"),
        ("# Title", "<h4>Title</h4>\n"),
        ("###### Deep", "<h6>Deep</h6>\n"),
        ("`<b>`", "<p><code>&lt;b&gt;</code></p>\n"),
        ("<b onclick=x>", "<p>&lt;b onclick=x&gt;</p>\n"),
        ("[a](javascript:x)", "<p>[a](javascript:x)</p>\n"),
        ("[a](/admin/logout/)", '<p><a rel="noopener noreferrer nofollow">a</a></p>\n'),
        ("[a](data:text/html,x)", "<p>[a](data:text/html,x)</p>\n"),
        (
            "![a](https://b.example/c.png)",
            '<p>!<a href="https://b.example/c.png" rel="noopener noreferrer nofollow">a</a></p>\n',
        ),
    ],
)
def test_markdown_becomes_html_that_runs_and_fetches_nothing(text: str, html: str) -> None:
    assert markdown(text) == html


def test_a_budget_counts_characters_as_they_are_in_html() -> None:
    budget = Budget(60)
    assert budget.cut("plain", 3) == "pla"
    assert len(budget.cut("'" * 100)) <= 57 / len("&#x27;")
    left = budget.left
    assert budget.markdown("x" * 100) is None
    assert budget.left == left
    assert Budget(0).cut("anything") == ""


def test_a_page_reads_one_text_that_becomes_much_longer_and_no_more() -> None:
    columns = "|a" * 250
    table = f"{columns}\n{columns.replace('a', '-')}\n" + "|\n" * 250
    budget = Budget()
    assert budget.markdown("# Before") == "<h4>Before</h4>\n"
    assert len(table) < 2000 and budget.markdown(table) is None
    assert budget.markdown("# After") is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0 s"), (0, "0 s"), (0.25, "250 ms"), (1.24, "1.2 s"), (59, "59 s"),
        (80, "1 min 20 s"), (7500, "2 h 5 min"), (270_000, "3 d 3 h"),
    ],
)  # fmt: skip  # as one list
def test_a_duration_is_said_in_its_largest_units(seconds: float, words: str) -> None:
    assert lasting(timedelta(seconds=seconds)) == words


def test_a_duration_is_written_as_numbers_are_in_the_language_of_whoever_reads_it() -> None:
    with override("de"):
        assert lasting(timedelta(seconds=1.26)) == "1,3 s"
