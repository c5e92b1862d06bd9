"""What an agent's code does and what its client sees: forms, verbs, endings (R8, R13)."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User

from a2a_app import database, models
from a2a_app.agents import Agent, Part, Turn
from a2a_app.protocol import InternalError, TaskState
from tests.clients.operations import OperationsClient, client_of
from tests.tasks import new_message
from tests.wire import state, text

pytestmark = pytest.mark.usefixtures("runtime")


def texts(task: Any) -> list[list[str]]:
    return [[part.text for part in artifact.parts] for artifact in task.artifacts]


async def async_generator(turn: Turn) -> AsyncIterator[str]:
    for word in turn.text.split():
        yield word


async def async_function(turn: Turn) -> None:
    artifact = turn.open_artifact()
    for word in turn.text.split():
        await artifact.write(word)


def generator(turn: Turn) -> Iterator[str]:
    yield from turn.text.split()


def function(turn: Turn) -> None:
    artifact = turn.open_artifact()
    for word in turn.text.split():
        artifact.write(word)


class Written(Agent):
    """An agent as a class."""

    async def run(self, turn: Turn) -> AsyncIterator[str]:
        for word in turn.text.split():
            yield word


@pytest.mark.parametrize("form", [async_generator, async_function, generator, function, Written])
async def test_every_form_of_agent_gives_the_same(form: Any) -> None:
    with client_of(form) as client:
        task = await client.send("one two three")
        read = await client.get(task.id)
    assert task.status.state is TaskState.COMPLETED
    assert texts(task) == [["onetwothree"]]
    assert task.to_dict() == read.to_dict()


async def test_the_return_value_of_a_function_is_an_artifact() -> None:
    async def agent(turn: Turn) -> Part:
        return Part(data={"n": 1})

    with client_of(agent) as client:
        [artifact] = (await client.send()).artifacts
    assert artifact.parts[0].data == {"n": 1}


@pytest.mark.parametrize("form", ["async", "thread"])
async def test_an_agent_that_raises_fails_its_task_and_the_client_learns_no_secret(
    form: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def in_loop(turn: Turn) -> AsyncIterator[str]:
        yield "begun"
        raise RuntimeError("the password is swordfish")

    def in_thread(turn: Turn) -> Iterator[str]:
        yield "begun"
        raise RuntimeError("the password is swordfish")

    with client_of(in_loop if form == "async" else in_thread) as client:
        events = await client.stream()
        assert [state(e) for e in events][-1] == "FAILED"
        assert [text(e) for e in events if text(e)] == ["begun"]
    assert "swordfish" not in str(events)
    run = await database.run(models.Run.objects.get)
    assert run.outcome == "failed"
    assert caplog.text.count("RuntimeError: the password is swordfish") == 1
    assert str(run.pk) in str(events[-1])
    [line] = [record for record in caplog.records if record.exc_info and "failed" in record.msg]
    # Services that collect errors tell them apart by the exception.
    assert (line.exc_info or [None])[0] is RuntimeError
    assert line.exc_text == run.error and "swordfish" in run.error


@pytest.mark.parametrize(
    "error",
    [
        StopIteration(),
        StopAsyncIteration(),
        GeneratorExit(),
        SystemExit(3),
        KeyboardInterrupt(),
        asyncio.CancelledError(),
    ],
    ids=repr,
)
@pytest.mark.parametrize("form", ["async", "task", "async generator", "thread", "generator"])
async def test_any_exception_of_an_agent_ends_its_task_and_nothing_else(
    form: str, error: BaseException
) -> None:
    async def in_loop(turn: Turn) -> None:
        raise error

    async def async_generator(turn: Turn) -> AsyncIterator[str]:
        yield "begun"
        raise error

    def in_thread(turn: Turn) -> None:
        raise error

    def generator(turn: Turn) -> Iterator[str]:
        yield "begun"
        raise error

    async def in_task(turn: Turn) -> None:
        await asyncio.gather(in_loop(turn))

    agents: dict[str, Any] = {
        "async": in_loop,
        "task": in_task,
        "async generator": async_generator,
        "thread": in_thread,
        "generator": generator,
    }
    with client_of(agents[form]) as client:
        async with asyncio.timeout(10):
            task = await client.send()
    assert task.status.state is TaskState.FAILED
    run = await database.run(models.Run.objects.get)
    assert type(error).__name__ in run.error


@pytest.mark.parametrize("text", ["nothing \x00", "half \ud800 a pair", "\U0001f300"], ids=ascii)
async def test_a_task_fails_whatever_the_text_of_what_was_raised(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def agent(turn: Turn) -> None:
        raise RuntimeError(text)

    with client_of(agent) as client:
        async with asyncio.timeout(10):
            task = await client.send()
    assert task.status.state is TaskState.FAILED
    run = await database.run(models.Run.objects.get)
    shown = text.replace("\x00", r"\x00").replace("\ud800", r"\ud800")
    assert f"RuntimeError: {shown}" in run.error
    assert f"RuntimeError: {shown}" in caplog.text


@pytest.mark.parametrize(
    ("verb", "end"),
    [
        ("complete", "COMPLETED"),
        ("fail", "FAILED"),
        ("reject", "REJECTED"),
        ("input_required", "INPUT_REQUIRED"),
        ("auth_required", "AUTH_REQUIRED"),
    ],
)
@pytest.mark.parametrize("threaded", [False, True])
async def test_every_resting_state_ends_a_stream_and_a_blocking_send(
    verb: str, end: str, threaded: bool
) -> None:
    async def in_loop(turn: Turn) -> None:
        await getattr(turn, verb)("because")

    def in_thread(turn: Turn) -> None:
        getattr(turn, verb)("because")

    with client_of(in_thread if threaded else in_loop) as client:
        assert state((await client.stream())[-1]) == end
        task = await client.send()
    assert task.status.state.value == f"TASK_STATE_{end}"
    assert task.status.message is not None and task.status.message.text == "because"


async def test_an_agent_that_writes_after_the_end_is_refused() -> None:
    refused: list[str] = []

    async def agent(turn: Turn) -> None:
        await turn.complete()
        try:
            await turn.working("still here")
        except Exception as error:
            refused.append(type(error).__name__)
            raise

    with client_of(agent) as client:
        task = await client.send()
        assert (await client.get(task.id)).status.state is TaskState.COMPLETED
    assert refused == ["TaskEndedError"]


async def test_metadata_and_wishes_reach_the_agent_through_both_ways_of_sending() -> None:
    seen: list[Any] = []

    async def agent(turn: Turn) -> None:
        seen.append((turn.metadata, turn.message.metadata, turn.accepted_output_modes))

    with client_of(agent) as client:
        for send in (client.send, client.stream):
            message = new_message("x", metadata={"of": "message"})
            await send(message, metadata={"of": "request"}, accepted_output_modes=["a/b"])
    assert seen == [({"of": "request"}, {"of": "message"}, ["a/b"])] * 2


async def test_a_conversation_keeps_its_history_and_the_agents_state_over_turns() -> None:
    async def agent(turn: Turn) -> None:
        turn.context.state.setdefault("heard", []).append(turn.text)
        if turn.number < 3:
            await turn.input_required(f"more than {turn.text}?")
            return
        said_before = [m.text for m in await turn.history()]
        await turn.artifact({"heard": turn.context.state["heard"], "history": said_before})

    with client_of(agent) as client:
        task = await client.send("a")
        for answer in "bc":
            assert task.status.state is TaskState.INPUT_REQUIRED
            task = await client.send(new_message(answer, task_id=task.id))
        assert task.artifacts[0].parts[0].data == {
            "heard": ["a", "b", "c"],
            "history": ["a", "more than a?", "b", "more than b?", "c"],
        }
        # Another task of the same conversation knows what the first one learned.
        other = await client.send(new_message("d", context_id=task.context_id))
        assert other.status.message is not None
        context = await database.run(models.Context.objects.get)
        assert context.state["heard"] == ["a", "b", "c", "d"]


async def test_a_message_to_a_task_at_work_is_answered_in_the_next_turn() -> None:
    working, go_on = asyncio.Event(), asyncio.Event()

    async def agent(turn: Turn) -> None:
        working.set()
        await go_on.wait()
        await turn.artifact(turn.text)

    with client_of(agent) as client:
        first = await client.send("first", return_immediately=True)
        await working.wait()
        second = asyncio.create_task(client.send(new_message("second", task_id=first.id)))
        while not await database.run(models.Run.objects.filter(turn=2).exists):
            pass
        go_on.set()
        assert texts(await second) == [["first"], ["second"]]


async def test_the_answer_has_the_message_that_another_client_sent_meanwhile() -> None:
    working, go_on = asyncio.Queue[str](), asyncio.Event()

    async def agent(turn: Turn) -> None:
        await working.put(turn.task_id)
        await go_on.wait()
        await turn.complete("All is said.")

    with client_of(agent) as client:
        first = asyncio.create_task(client.send("first"))
        message = new_message("second", task_id=await working.get())
        await client.send(message, return_immediately=True)
        go_on.set()
        assert [each.text for each in (await first).history] == ["first", "second"]


async def test_an_agent_in_a_thread_reads_by_waiting() -> None:
    def agent(turn: Turn) -> str:
        assert threading.current_thread() is not threading.main_thread()
        return f"{len(turn.wait(turn.history()))} {User.objects.count()}"

    with client_of(agent) as client:
        assert texts(await client.send()) == [["1 0"]]


async def test_referenced_tasks_are_those_of_the_same_owner_only() -> None:
    async def agent(turn: Turn) -> Part:
        return Part(data=[task.id for task in await turn.referenced_tasks()])

    with client_of(agent) as client:
        mine = await client.send()
        stranger = OperationsClient(client.call.agent, owner="somebody else")
        ids = [mine.id, "nonsense"]
        task = await client.send(new_message(reference_task_ids=ids))
        assert task.artifacts[0].parts[0].data == [mine.id]
        task = await stranger.send(new_message(reference_task_ids=ids))
        assert task.artifacts[0].parts[0].data == []


class Answering(Agent):
    """Answers at once, or as it is told."""

    async def answer(self, message: Any) -> Any:
        match message.text:
            case "task":
                return None
            case "raise":
                raise RuntimeError("secret")
            case "exit":
                raise SystemExit("secret")
            case "interrupt":
                raise KeyboardInterrupt("secret")
            case "exit in a task":
                await asyncio.gather(self.answer(new_message("exit")))
            case "cancel":
                raise asyncio.CancelledError("secret")
            case text:
                return f"You said {text}"

    async def run(self, turn: Turn) -> str:
        return str(len(await turn.context.messages()))


async def test_an_answer_without_a_task_is_a_message_and_is_remembered() -> None:
    with client_of(Answering) as client:
        response = await client.respond("hi")
        assert response.message is not None and response.task is None
        assert response.message.text == "You said hi"
        assert not await database.run(models.Task.objects.exists)
        context_id = response.message.context_id
        [only] = await client.stream(new_message("ho", context_id=context_id))
        assert only["message"]["contextId"] == context_id
        task = await client.send(new_message("task", context_id=context_id))
        assert texts(task) == [["5"]]


async def test_an_answer_that_fails_is_an_error_without_its_reason() -> None:
    with client_of(Answering) as client:
        with pytest.raises(InternalError) as caught:
            await client.respond("raise")
        assert "secret" not in caught.value.message
        for ending in ("exit", "exit in a task", "interrupt", "cancel"):
            with pytest.raises(InternalError):
                await client.respond(ending)
