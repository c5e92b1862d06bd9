"""What an agent may say: every value of Python's that has a form in a part, and nothing else."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar
from uuid import UUID

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy
from pydantic import BaseModel

from a2a_app.agents import Agent, Artifact, Message, Part, Role, Turn
from a2a_app.agents.content import as_parts
from a2a_app.agents.values import SAYABLE
from a2a_app.protocol import InvalidAgentResponseError, TaskState
from tests.clients.operations import client_of
from tests.tasks import new_message

in_the_app = pytest.mark.usefixtures("runtime")


class Colour(Enum):
    RED = "red"


class Trip(BaseModel):
    to: str
    on: date


@dataclass
class Price:
    amount: Decimal
    of: list[Trip] = field(default_factory=list)


DAY, MOMENT = date(2026, 1, 31), datetime(2026, 1, 31, 12, tzinfo=UTC)
KEY = UUID(int=7)
DATA: list[tuple[Any, Any]] = [
    ({"n": 1}, {"n": 1}),
    (MappingProxyType({"n": MappingProxyType({"m": 1})}), {"n": {"m": 1}}),
    ({1: "one", Colour.RED: KEY}, {"1": "one", "red": str(KEY)}),
    ([], []),
    ([1, "a", None, {"b": DAY}], [1, "a", None, {"b": "2026-01-31"}]),
    ((1, 2), [1, 2]),
    (0, 0),
    (1.5, 1.5),
    (False, False),
    (DAY, "2026-01-31"),
    (MOMENT, "2026-01-31T12:00:00Z"),
    (time(12, 30), "12:30:00"),
    (timedelta(hours=1), "PT1H"),
    (KEY, str(KEY)),
    (Decimal("1.10"), "1.10"),
    (Colour.RED, "red"),
    (Trip(to="Lisbon", on=DAY), {"to": "Lisbon", "on": "2026-01-31"}),
    (
        Price(Decimal("0.1"), [Trip(to="Lisbon", on=DAY)]),
        {"amount": "0.1", "of": [{"to": "Lisbon", "on": "2026-01-31"}]},
    ),
    ({"raw": b"\xff", "text": gettext_lazy("Yes")}, {"raw": "_w==", "text": "Yes"}),
    ({"half\ud83d": "\0"}, {"half\ufffd": "\ufffd"}),
]


@pytest.mark.parametrize(("said", "data"), DATA)
def test_what_has_json_is_data(said: Any, data: Any) -> None:
    [part] = as_parts([said], lambda: None)
    assert part == Part(data=data)
    assert type(part.data) is type(data)


def test_a_text_that_is_translated_late_is_text() -> None:
    assert as_parts([gettext_lazy("Yes")], pytest.fail) == [Part(text="Yes")]


def test_parts_in_a_list_are_parts_each() -> None:
    parts = [Part(text="a"), Part(url="u")]
    assert as_parts([parts, "b"], pytest.fail) == [*parts, Part(text="b")]
    assert as_parts([["a", Part(url="u"), ""]], pytest.fail) == parts


def test_bytes_and_files_are_files_with_their_names_and_media_types(tmp_path: Path) -> None:
    path = tmp_path / "trip.ics"
    path.write_bytes(b"BEGIN")
    with path.open("rb") as opened:
        kept_open = File(opened)
        assert kept_open.read(2) == b"BE"
        files: list[tuple[Any, str, str]] = [
            (b"BEGIN", "", "application/octet-stream"),
            (memoryview(b"BEGIN"), "", "application/octet-stream"),
            (path, "trip.ics", "text/calendar"),
            (kept_open, "trip.ics", "text/calendar"),
            (ContentFile("BEGIN", name="a.txt"), "a.txt", "text/plain"),
            (SimpleUploadedFile("up.bin", b"BEGIN", "image/png"), "up.bin", "image/png"),
        ]
        for content, filename, media_type in files:
            [part] = as_parts([content], pytest.fail)
            assert part == Part(raw=b"BEGIN", filename=filename, media_type=media_type)
        assert not kept_open.closed


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)
UNSAYABLE: list[tuple[Any, str]] = [
    (None, "NoneType"),
    (object(), "object"),
    ({"a": [object()]}, "object"),
    (Trip, "Trip"),
    ((word for word in "ab"), "generator"),
    (iter([1]), "list_iterator"),
    (ValueError("x"), "ValueError"),
    (SimpleLazyObject(object), "SimpleLazyObject"),
    (CIRCLE, "list .*[Cc]ircular"),
    (Artifact(artifact_id="a", parts=[Part(text="x")]), "Artifact"),
    ([Artifact(artifact_id="a", parts=[Part(text="x")]), Part(text="x")], "Artifact"),
    ([new_message("x", Role.AGENT)], "Message"),
    (new_message("x"), "Message of ROLE_USER"),
]


@in_the_app
async def test_what_cannot_be_said_is_refused_by_the_verb_which_names_what_can() -> None:
    refused = []

    async def agent(turn: Turn) -> None:
        verbs: list[Callable[..., Any]] = [
            turn.working, turn.artifact, turn.complete, turn.fail, turn.reject,
            turn.input_required, turn.auth_required, turn.open_artifact().write,
        ]  # fmt: skip  # as one list
        for (said, named), verb in product(UNSAYABLE, verbs):
            with pytest.raises(TypeError, match=f"cannot say {named}") as caught:
                verb(said)
            refused.append(str(caught.value))

    with client_of(agent) as client:
        task = await client.send()
    assert task.status.state is TaskState.COMPLETED, refused
    assert task.artifacts == []
    assert len(refused) == 8 * len(UNSAYABLE)
    assert all(text.endswith(SAYABLE) for text in refused)


SAID: list[Any] = ["text", {"n": 1}, [1], 7, True, Trip(to="Lisbon", on=DAY), b"raw", Part(url="u")]


@in_the_app
async def test_all_verbs_and_forms_take_the_same() -> None:
    parts = as_parts(SAID, pytest.fail)

    async def returns(turn: Turn) -> Any:
        await turn.working(*SAID, metadata={"seen": True})
        return parts

    async def yields(turn: Turn) -> AsyncIterator[Any]:
        for each in SAID:
            yield each
        await turn.complete(*SAID)

    def yields_in_thread(turn: Turn) -> Iterator[Any]:
        yield from SAID
        turn.input_required(*SAID)

    async def writes(turn: Turn) -> None:
        await turn.open_artifact().write(*SAID)
        await turn.fail(*SAID)

    for agent in (returns, yields, yields_in_thread, writes):
        with client_of(agent) as client:
            task = await client.send()
            [artifact] = task.artifacts
            assert artifact.parts == parts, agent
            assert (await client.get(task.id)).artifacts == task.artifacts
            said = [*task.history[1:], *([task.status.message] if task.status.message else [])]
            assert [message.parts for message in said] == [parts], agent


class Answering(Agent):
    """Answers with whatever it is told by the name of it."""

    answers: ClassVar[dict[str, Any]] = {
        "data": Price(Decimal(1)), "empty": "", "unsayable": object(), "user": new_message("x"),
        "own": Message(
            message_id="own", role=Role.AGENT, parts=[Part(text="x")], extensions=["urn:x"],
            reference_task_ids=["t"], metadata={"a": 1}, context_id="other", task_id="other",
        ),
    }  # fmt: skip  # as one table

    async def answer(self, message: Message) -> Any:
        return self.answers[message.text]


@in_the_app
async def test_an_answer_without_a_task_takes_what_verbs_take() -> None:
    with client_of(Answering) as client:
        data = (await client.respond("data")).message
        assert data is not None and data.parts == [Part(data={"amount": "1", "of": []})]
        own = (await client.respond("own")).message
        assert own is not None and own.context_id != "other"
        place = {"context_id": own.context_id, "task_id": ""}
        assert own == Answering.answers["own"].model_copy(update=place)
        for name, reason in (("empty", "empty text"), ("unsayable", "object"), ("user", "USER")):
            with pytest.raises(InvalidAgentResponseError, match=reason):
                await client.respond(name)


@in_the_app
async def test_a_message_of_the_agents_own_keeps_what_it_has_besides_parts() -> None:
    own = Answering.answers["own"]

    async def agent(turn: Turn) -> None:
        await turn.working(own)
        with pytest.raises(TypeError, match="cannot say Message"):
            turn.working("besides", own)
        with pytest.raises(TypeError, match="references in an artifact"):
            turn.artifact(own)
        artifact = turn.open_artifact(name="answer", metadata={"b": 2})
        await artifact.write("begun ")
        await artifact.write(own.model_copy(update={"reference_task_ids": []}))

    with client_of(agent) as client:
        task = await client.send()
        read = await client.get(task.id)
    [said] = [each for each in task.history if each.role is Role.AGENT]
    place = {"context_id": task.context_id, "task_id": task.id}
    assert said == own.model_copy(update=place)
    assert task.artifacts == read.artifacts == [
        Artifact(
            artifact_id=task.artifacts[0].artifact_id, name="answer",
            parts=[Part(text="begun x")], metadata={"b": 2, "a": 1}, extensions=["urn:x"],
        )
    ]  # fmt: skip  # the artifact in few lines


@in_the_app
async def test_empty_texts_are_no_chunks_and_no_messages() -> None:
    async def agent(turn: Turn) -> AsyncIterator[str]:
        await turn.working("")
        await turn.artifact("")
        empty = turn.open_artifact()
        await empty.write("", last=True)
        ended = turn.open_artifact()
        for word in ("", "a", ""):
            await ended.write(word)
        await ended.write("", last=True)
        for word in ("", "b", "", "c", ""):
            yield word

    with client_of(agent, repeats_artifacts=False) as client:
        events = await client.stream()
        task = await client.get(events[0]["task"]["id"])
    updates = [event["artifactUpdate"] for event in events if "artifactUpdate" in event]
    texts = [update["artifact"]["parts"][0]["text"] for update in updates]
    # A chunk has a part, so that an end of its own has one with nothing in it.
    assert texts == ["a", "", "b", "c"]
    assert [update.get("lastChunk", False) for update in updates] == [False, True, False, False]
    assert [artifact.parts for artifact in task.artifacts] == [[Part(text="a")], [Part(text="bc")]]
    assert [message.role for message in task.history] == [Role.USER]


class SlowFile(ContentFile[bytes]):
    """A file whose storage notes in which thread it is read."""

    def __init__(self) -> None:
        super().__init__(b"far away", name="far.txt")
        self.threads: list[bool] = []

    def open(self, *args: Any, **options: Any) -> Any:
        self.threads.append(threading.current_thread() is threading.main_thread())
        return super().open(*args, **options)


@in_the_app
async def test_reading_a_file_never_blocks_the_event_loop() -> None:
    file = SlowFile()

    async def in_loop(turn: Turn) -> AsyncIterator[Any]:
        await turn.working(file)
        yield file

    def in_thread(turn: Turn) -> Any:
        turn.working(file)
        return file

    for agent in (in_loop, in_thread):
        with client_of(agent) as client:
            async with asyncio.timeout(10):
                task = await client.send()
        expected = Part(raw=b"far away", filename="far.txt", media_type="text/plain")
        assert task.artifacts[0].parts == task.history[1].parts == [expected]
    assert file.threads == [False] * 4
