"""The page of a task: it opens for any task, in as many statements, and nothing on it runs."""

import json
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from a2a_app import models
from a2a_app.database.values import new_key
from a2a_app.models.step import Kind
from a2a_app.pages import conversation, timeline
from a2a_app.pages.contents import Budget
from a2a_app.protocol import Artifact, Message, Part, Role, TaskState
from a2a_app.store.claims import Claim
from a2a_app.store.updates import ArtifactUpdate, Returned, StatusUpdate, Update
from a2a_app.store.writes.append import append
from tests.tasks import begin, begin_and_claim, chunk, status

pytestmark = pytest.mark.django_db

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>"
# Whatever the parts, the names and the media types of a task say.
HOSTILE = [
    Part(text=SCRIPT),
    Part(text=f"**bold** {SCRIPT} [x](javascript:alert(3)) ![y](https://evil.example/y.png)"),
    Part(text=SCRIPT, media_type="text/markdown"),
    Part(text=SCRIPT, media_type="text/html"),
    Part(data={SCRIPT: SCRIPT}),
    Part(raw=SCRIPT.encode(), filename=SCRIPT, media_type="image/svg+xml"),
    Part(raw=SCRIPT.encode(), filename=SCRIPT, media_type="text/html"),
    Part(raw=b"x", filename='"><script>', media_type='image/png"><script>'),
    Part(url=f"javascript:alert(4)//{SCRIPT}", filename=SCRIPT),
    Part(url=f"https://evil.example/?q={SCRIPT}", filename=SCRIPT, media_type=SCRIPT),
]
MOST_BYTES = 300_000


@pytest.fixture
def boss() -> Browser:
    """Sign a superuser in."""
    made = Browser()
    made.force_login(User.objects.create_superuser("boss"))
    return made


class Tags(HTMLParser):
    """Finds the tags of a page, each with its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))


def page_of(boss: Browser, task_id: object, query: str = "") -> str:
    response = boss.get(reverse("admin:a2a_app_task_change", args=[task_id]) + query)
    assert response.status_code == 200
    return response.content.decode()


def part_of(row: models.Message | models.Artifact, index: int) -> str:
    kind = "message" if isinstance(row, models.Message) else "artifact"
    return reverse("admin:a2a_app_task_part", args=[row.task_id, kind, row.pk, index])


def test_nothing_that_anybody_has_written_runs_or_is_fetched(boss: Browser) -> None:
    claim = begin_and_claim(message=Message(message_id="1", role=Role.USER, parts=HOSTILE))
    answer = Message(message_id="2", role=Role.AGENT, parts=HOSTILE)
    artifact = Artifact(artifact_id=SCRIPT, name=SCRIPT, description=SCRIPT, parts=HOSTILE)
    updates: list[Update] = [
        StatusUpdate(TaskState.WORKING, answer, metadata={SCRIPT: SCRIPT}),
        ArtifactUpdate(artifact, append=False, last_chunk=True),
        chunk(SCRIPT, key=f"open {SCRIPT}", append=False),
    ]
    head = append(claim.head, updates, run=claim.run).head
    models.Run.objects.update(error=SCRIPT)
    page = page_of(boss, head.task_id)
    assert "alert(1)" in page and "<strong>bold</strong>" in page
    tags = Tags()
    tags.feed(page)
    names = {name for name, _ in tags.found}
    assert not names & {"iframe", "object", "embed", "style", "base"}
    for name, attributes in tags.found:
        assert not [each for each in attributes if each.startswith("on") or each == "style"]
        if name in ("script", "img", "audio", "video", "source", "link"):
            fetched = attributes.get("src") or attributes.get("href") or ""
            assert fetched.startswith(("/static/", "/admin/")), (name, attributes)
        assert "javascript:" not in attributes.get("href", "").lower()


@pytest.mark.slow
@pytest.mark.parametrize("many", [1, 60])
def test_a_page_is_small_whatever_the_task_has(boss: Browser, many: int) -> None:
    whole = "<&'\"" * 30_000
    claim = begin_and_claim(text=whole)
    quotes = "'" * 20_000
    updates: list[Update] = []
    for n in range(many):
        updates += [
            status(TaskState.WORKING, quotes),
            chunk(quotes, key=f"{n}{quotes[:200]}", append=False, last=True),
            chunk(quotes, key=f"open {n}", append=False),
        ]
    append(claim.head, updates, run=claim.run)
    models.Run.objects.update(error=quotes)
    assert len(page_of(boss, claim.head.task_id).encode()) < MOST_BYTES
    # The oldest are a link away, and so is all of a text that is cut.
    said = models.Message.objects.get(role=Role.USER.value)
    oldest = page_of(boss, claim.head.task_id, "?earlier=2")
    assert part_of(said, 0) in oldest
    answer = boss.get(part_of(said, 0))
    assert answer.content.decode() == whole
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert "sandbox" in answer["Content-Security-Policy"]


def fill(claim: Claim, chunks: int) -> None:
    """Append chunks to an artifact of a task in a moment: by rows like those of the app's own."""
    head = append(claim.head, [chunk("word ", append=False)], run=claim.run).head
    head = append(head, [chunk("word ")], run=claim.run).head
    row = models.Event.objects.get(task=head.task_id, seq=head.seq)
    many = range(head.seq + 1, head.seq + chunks - 1)
    fields = {"task_id": row.task_id, "turn": row.turn, "state": row.state, "body": row.body}
    models.Event.objects.bulk_create(
        [models.Event(seq=seq, artifact_id=row.artifact_id, **fields) for seq in many]
    )
    models.Task.objects.filter(pk=head.task_id).update(seq=many[-1])


@pytest.mark.slow
def test_a_task_of_very_many_chunks_has_a_page_like_any_other(
    boss: Browser, settings: LazySettings
) -> None:
    claim = begin_and_claim()
    fill(claim, 5000)
    with CaptureQueriesContext(connection) as queries:
        page = page_of(boss, claim.head.task_id)
    assert "a: 5,000 chunks" in page
    assert len(page.encode()) < MOST_BYTES / 3
    # One of them is the menu's, which says how many tasks wait.
    assert sum("a2a_app_" in query["sql"] for query in queries) == 11
    # Its newest text is there to go on.
    [shown] = re.findall(r'data-artifact="a" data-seq="(\d+)">([^<]*)<', page)
    assert shown == ("5001", "word " * conversation.OPEN_CHUNKS)
    settings.LANGUAGE_CODE = "de"
    assert "a: 5.000 Stücke" in page_of(boss, claim.head.task_id)


def test_numbers_in_links_and_for_the_script_are_not_written_for_people(
    boss: Browser, settings: LazySettings
) -> None:
    settings.USE_THOUSAND_SEPARATOR = True
    claim = begin_and_claim()
    fill(claim, 1200)
    many = [status(TaskState.WORKING, f"step {n}.") for n in range(timeline.LINES + 9)]
    append(claim.head, many, run=claim.run)
    page = page_of(boss, claim.head.task_id)
    assert f"1,{201 + len(many)}</dd>" in page
    numbers = re.findall(r'(?:data-seq="|[?;](?:from|to|older|earlier)=)([^"&#]*)', page)
    assert len(numbers) > 2 * timeline.LINES
    assert [each for each in numbers if not each.isdecimal()] == []


def test_steps_and_what_a_turn_waits_for_are_shown_with_what_failed(boss: Browser) -> None:
    claim = begin_and_claim()
    now = timezone.now()
    kept: dict[str, Any] = {"task_id": claim.head.task_id, "turn": 1}
    failed = {"ended_at": now, "error_kind": "builtins.OSError", "error": SCRIPT}
    steps: list[dict[str, Any]] = [
        {"name": "charge", "tries": 3, "ended_at": now, "result": [1]},
        {"name": f"ship {SCRIPT}", "tries": 1, **failed},
        {"kind": Kind.SLEEP, "until": now + timedelta(days=3)},
        {"name": "payment", "kind": Kind.EVENT},
    ]
    for number, more in enumerate(steps, start=1):
        models.Step.objects.create(number=number, started_at=now, **kept, **more)
    page = page_of(boss, claim.head.task_id)
    shown = re.findall(r'data-tone="(\w+)">([^<]*)</span> <span class="a2a-number">', page)
    assert shown[-4:] == [
        ("good", "done, 3 tries"),
        ("bad", "failed"),
        ("asks", "waits for a time"),
        ("asks", "waits for an event"),
    ]
    assert "builtins.OSError: &lt;script&gt;" in page
    assert SCRIPT not in page


@pytest.mark.slow
def test_the_log_is_shown_in_pages_the_newest_first_and_all_of_it_is_a_link_away(
    boss: Browser,
) -> None:
    claim = begin_and_claim()
    steps = [status(TaskState.WORKING, f"step {n}.") for n in range(timeline.LINES + 9)]
    append(claim.head, [chunk("x", append=False, last=True), *steps], run=claim.run)
    page, lines = page_of(boss, claim.head.task_id), timeline.LINES

    def numbers(page: str) -> list[int]:
        return [int(each) for each in re.findall(r"data-json>(\d+)<", page)]

    newest = lines + 11
    assert numbers(page) == list(range(newest, newest - lines, -1))
    [older] = re.findall(r'href="(\?older=\d+)#', page)
    assert numbers(page_of(boss, claim.head.task_id, older)) == list(range(newest - lines, 0, -1))
    events = boss.get(reverse("admin:a2a_app_task_events", args=[claim.head.task_id]))
    shown = json.loads(events.content)
    assert [each["number"] for each in shown["events"]] == list(range(1, 201))
    assert shown["more_from"] == 201
    assert "nosniff" in events["X-Content-Type-Options"]


def test_a_conversation_is_shown_in_pages_in_the_order_of_the_log(boss: Browser) -> None:
    claim = begin_and_claim(text="the first")
    updates: list[Update] = []
    for n in range(40):
        updates += [
            status(TaskState.WORKING, f"said {n}."),
            chunk(f"made {n}.", key=str(n), append=False, last=True),
        ]
    append(claim.head, updates, run=claim.run)

    def said(page: str) -> list[str]:
        own = page[page.index('id="a2a-conversation"') : page.index('id="a2a-timeline"')]
        return re.findall(r"(?:said|made) \d+\.|the first", own)

    page = page_of(boss, claim.head.task_id)
    expected = ["the first", *(f"{verb} {n}." for n in range(40) for verb in ("said", "made"))]
    assert said(page) == expected[-conversation.ITEMS :]
    [earlier] = re.findall(r'href="(\?earlier=\d+)"', page)
    assert said(page_of(boss, claim.head.task_id, earlier)) == expected[: -conversation.ITEMS]


def test_what_was_said_and_done_has_its_day_where_that_is_another(boss: Browser) -> None:
    claim = begin_and_claim(text="Please.")
    append(claim.head, [status(TaskState.WORKING, "Yes."), Returned()], run=claim.run)
    days = [datetime(2026, 3, day, 10, 5, 1, tzinfo=UTC) for day in (1, 1, 4)]
    for rows in (models.Message.objects.order_by("seq"), models.Event.objects.order_by("seq")):
        for row, day in zip(rows, days[-len(rows) :], strict=True):
            type(row)._default_manager.filter(pk=row.pk).update(created_at=day)
    page = page_of(boss, claim.head.task_id)
    said = re.findall(r"<time [^>]*>([^<]*)</time> · ", page)
    assert said == ["03/01/2026 10:05:01", "03/04/2026 10:05:01"]
    done = re.findall(r"<td><time [^>]*>([^<]*)</time></td>", page)
    assert done == ["03/04/2026 10:05:01.000", "03/01/2026 10:05:01.000", "10:05:01.000"]


@pytest.mark.parametrize("query", ["?earlier=x", "?older=-1", "?older=" + "9" * 40, "?earlier=%00"])
def test_a_number_that_is_none_is_passed_over(boss: Browser, query: str) -> None:
    task_id = begin("hello").head.task_id
    assert "hello" in page_of(boss, task_id, query)
    events = reverse("admin:a2a_app_task_events", args=[task_id])
    for numbers in ("?from=9223372036854775806", "?from=5&to=1", "?to=x"):
        assert boss.get(events + numbers).status_code == 200


def test_bytes_are_for_a_browser_to_save_and_only_safe_images_are_shown(boss: Browser) -> None:
    parts = [
        Part(raw=b"1", filename="a.png", media_type="image/png"),
        Part(raw=b"2", filename="a.svg", media_type="image/svg+xml"),
        Part(raw=b"3", filename="a.mp3", media_type="audio/mpeg"),
        Part(raw=b"4", filename="a.webm", media_type="video/webm"),
        Part(data=[1]),
    ]
    task_id = begin(message=Message(message_id="1", role=Role.USER, parts=parts)).head.task_id
    page = page_of(boss, task_id)
    row = models.Message.objects.get()
    assert re.findall(r"<(img|audio|video)\b[^>]* src=\"([^\"]*)\"", page) == [
        ("img", part_of(row, 0)),
        ("audio", part_of(row, 2)),
        ("video", part_of(row, 3)),
    ]
    svg: Any = boss.get(part_of(row, 1))
    assert svg["Content-Disposition"].startswith("attachment")
    assert "sandbox" in svg["Content-Security-Policy"]
    assert svg.getvalue() == b"2"
    assert json.loads(boss.get(part_of(row, 4)).content) == [1]
    for place in (part_of(row, 5), part_of(row, 0).replace("message", "run")):
        assert boss.get(place).status_code == 404


def test_a_bar_shows_for_how_long_an_attempt_waited_and_for_how_long_it_worked() -> None:
    claim = begin_and_claim()
    task = models.Task.objects.get()
    begun = task.created_at
    times = [begun + timedelta(seconds=seconds) for seconds in (0, 2, 6)]
    done = dict(zip(("created_at", "started_at", "ended_at"), times, strict=True))
    models.Run.objects.filter(pk=claim.run.id).update(**done, outcome="yielded")
    second = models.Run.objects.get(pk=claim.run.id)
    second.pk, second.turn, second.outcome = new_key(), 2, "completed"
    second.created_at, second.started_at, second.ended_at = (
        begun + timedelta(seconds=seconds) for seconds in (6, 6, 10)
    )
    second.save(force_insert=True)
    models.Run.objects.filter(pk=second.pk).update(created_at=begun + timedelta(seconds=6))
    first, other = timeline.read_bars(task, Budget())
    assert (first.waited, first.worked) == ((0, 200), (200, 400))
    assert (first.lasted, first.waited_for) == ("4.0 s", "2.0 s")
    assert (other.worked, other.waited_for) == ((600, 400), "")
