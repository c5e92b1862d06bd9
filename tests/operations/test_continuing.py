"""Messages that name a context and no task (section 3.4.3), to agents that continue its task."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from pytest_django import Settings

from a2a_app import models
from a2a_app.agents import Agent, Message, Part, Turn, registry
from a2a_app.agents.registry import make_agent
from a2a_app.operations.call import Call, Caller
from a2a_app.protocol import TaskState
from a2a_app.store.task_head import read_task_head
from a2a_app.store.writes.append import append
from tests.clients.json_rpc import JsonRpcClient
from tests.clients.operations import OperationsClient, client_of
from tests.clients.ways import WAYS, Way, answers_of, task_id_of
from tests.storages import LARGE, HookedStorage
from tests.tasks import new_message, status
from tests.wire import message, state

SECONDS = 20.0
CONTEXT = "the-conversation"


@pytest.fixture
def hooked_storage(settings: Settings, empty_storages: None) -> Iterator[None]:
    """Store files where a test may do something in between."""
    hooked = {"BACKEND": "tests.storages.HookedStorage"}
    settings.STORAGES = {**settings.STORAGES, "hooked": hooked}
    settings.A2A = {**settings.A2A, "STORAGE": "hooked"}
    yield
    HookedStorage.before_saving = staticmethod(lambda: None)


class Asking:
    """An agent that asks once for each task, and repeats the answer."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def run(self, turn: Turn) -> None:
        """Ask, wait for authorization, or repeat."""
        if turn.text == "may I?":
            await turn.auth_required("Ask somebody.")
        elif turn.number == 1 and turn.text != "no question":
            await turn.input_required("What?")
        else:
            await self.may_end.wait()
            await turn.artifact(f"{turn.number}: {turn.text}")


class Greeting(Agent):
    """Answers without a task whatever it can, and asks where it cannot."""

    slug = "greets"
    continues_waiting_task = True

    async def answer(self, message: Message) -> str | None:
        """Answer everything but one message."""
        return None if message.text == "ask me" else "Hello!"

    async def run(self, turn: Turn) -> None:
        """Ask once."""
        if turn.number == 1:
            await turn.input_required("What?")


def asking(subject: Asking | None = None, **declared: Any) -> Agent:
    options = {"continues_waiting_task": True, "input_modes": ["*/*"], **declared}
    return make_agent((subject or Asking()).run, slug="asks", **options)


async def sent(
    rpc: JsonRpcClient, way: Way, said: dict[str, Any], **headers: str
) -> list[dict[str, Any]]:
    return await answers_of(await way.send(rpc, {"message": said}, agent="asks", **headers))


def in_context(text: str, **more: Any) -> Message:
    return new_message(text, context_id=CONTEXT, **more)


def with_file(text: str) -> Message:
    """Make a message that has to be stored in two steps."""
    said = in_context(text)
    return said.model_copy(update={"parts": [*said.parts, Part(raw=LARGE)]})


def texts_of(task: Any) -> list[list[str]]:
    return [[part.text for part in artifact.parts] for artifact in task.artifacts]


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_a_message_goes_to_the_task_that_has_asked_in_every_way(
    rpc: JsonRpcClient, way: Way
) -> None:
    with registry.registered(asking()):
        [first] = await sent(rpc, WAYS[0], message("hello"))
        said = message("this", contextId=first["task"]["contextId"])
        answer, *_ = await sent(rpc, way, said)
        task = await rpc.result("GetTask", agent="asks", id=task_id_of(first))
    assert task_id_of(answer) == task_id_of(first)
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"
    assert [artifact["parts"] for artifact in task["artifacts"]] == [[{"text": "2: this"}]]
    assert {each["taskId"] for each in task["history"]} == {task_id_of(first)}
    assert await models.Task.objects.acount() == 1


@pytest.mark.usefixtures("runtime")
async def test_a_message_without_a_context_begins_a_new_conversation() -> None:
    with client_of(Asking().run, continues_waiting_task=True) as client:
        first, second = await client.send("hello"), await client.send("this")
    assert first.id != second.id
    assert first.context_id != second.context_id


@pytest.mark.usefixtures("runtime")
async def test_only_an_agent_that_declares_it_continues_a_task() -> None:
    with client_of(Asking().run) as client:
        first, second = await client.send(in_context("a")), await client.send(in_context("b"))
    assert first.id != second.id
    assert first.context_id == second.context_id


@pytest.mark.usefixtures("runtime")
async def test_a_message_that_could_be_for_two_tasks_begins_a_third() -> None:
    with client_of(Asking().run, continues_waiting_task=True) as client:
        first = await client.send(in_context("a"))
        client.call.agent.continues_waiting_task = False
        second = await client.send(in_context("b"))
        client.call.agent.continues_waiting_task = True
        third = await client.send(in_context("c"))
        await client.cancel(second.id)
        await client.cancel(third.id)
        # Now one is left.
        fourth = await client.send(in_context("d"))
    assert len({first.id, second.id, third.id}) == 3
    assert fourth.id == first.id


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("before", ["may I?", "no question"])
async def test_a_task_that_waits_for_authorization_or_has_ended_is_not_continued(
    before: str,
) -> None:
    with client_of(Asking().run, continues_waiting_task=True) as client:
        first, second = await client.send(in_context(before)), await client.send(in_context("b"))
        # By its id, a task that waits for authorization takes a message as always.
        third = await client.send(new_message("c", task_id=second.id))
    assert first.id != second.id == third.id


@pytest.mark.usefixtures("runtime")
async def test_only_the_callers_own_task_with_this_agent_is_continued() -> None:
    other_agent = make_agent(Asking().run, slug="other", continues_waiting_task=True)
    with (
        client_of(Asking().run, continues_waiting_task=True) as anns,
        registry.registered(other_agent),
    ):
        anns.call = Call(anns.call.agent, Caller("ann"))
        bobs = OperationsClient(anns.call.agent, owner="bob")
        others = OperationsClient(other_agent, owner="ann")
        asked = [await client.send(in_context("hello")) for client in (anns, bobs, others)]
        ended = [await client.send(in_context("this")) for client in (anns, bobs, others)]
    assert len({task.id for task in asked}) == 3
    assert [task.id for task in ended] == [task.id for task in asked]


@pytest.mark.usefixtures("runtime")
async def test_an_answer_without_a_task_is_for_messages_that_continue_none() -> None:
    with client_of(Greeting) as client:
        greeted = await client.respond(in_context("hello"))
        asked = await client.send(in_context("ask me"))
        ended = await client.send(in_context("hello"))
    assert greeted.message is not None
    assert ended.id == asked.id


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_a_message_that_is_sent_again_does_not_go_to_the_next_question(
    rpc: JsonRpcClient, way: Way
) -> None:
    with registry.registered(asking()):
        key = {"Idempotency_Key": "once"}
        first, *_ = await sent(rpc, way, message("hello", contextId=CONTEXT), **key)
        # The task waits in this context, and the message led to it.
        again, *_ = await sent(rpc, way, message("hello", contextId=CONTEXT), **key)
        said = message("this", contextId=CONTEXT)
        answers = [(await sent(rpc, way, said, Idempotency_Key="2"))[0] for _ in range(2)]
    assert {task_id_of(each) for each in (again, *answers)} == {task_id_of(first)}
    task = await models.Task.objects.aget()
    assert (task.turn, task.state) == (2, TaskState.COMPLETED)


@pytest.mark.slow
async def test_a_message_that_comes_many_times_at_once_continues_its_task_once(
    rpc: JsonRpcClient,
) -> None:
    with registry.registered(asking()):
        [first] = await sent(rpc, WAYS[0], message("hello", contextId=CONTEXT))
        said = message("this", contextId=CONTEXT)
        answers = await asyncio.gather(
            *[sent(rpc, way, said, Idempotency_Key="once") for way in WAYS * 2]
        )
    assert {task_id_of(answer) for answer, *_ in answers} == {task_id_of(first)}
    assert (await models.Task.objects.aget()).turn == 2


@pytest.mark.usefixtures("runtime", "hooked_storage")
async def test_of_two_messages_at_once_one_answers_and_the_other_waits_for_its_turn() -> None:
    # Both have found the task when both store their files.
    HookedStorage.before_saving = threading.Barrier(2, timeout=SECONDS).wait
    subject = Asking()
    subject.may_end.clear()
    with registry.registered(agent := asking(subject)):
        client = OperationsClient(agent)
        asked = await client.send(in_context("hello"))
        both = await asyncio.gather(
            *[client.send(with_file(text), return_immediately=True) for text in ("a", "b")]
        )
        events = client.subscribe(asked.id)
        await anext(events)
        subject.may_end.set()
        assert [state(event) for event in [event async for event in events]][-1] == "COMPLETED"
        task = await client.get(asked.id)
    assert {each.id for each in both} == {asked.id}
    assert sorted(said[0][:3] for said in texts_of(task)) == ["2: ", "3: "]
    assert sorted(said[0][3:] for said in texts_of(task)) == ["a", "b"]


def end_task(task_id: UUID) -> Callable[[], None]:
    """Return what ends a task, as another message or a cancel may."""

    def end() -> None:
        append(read_task_head(task_id), [status(TaskState.CANCELED)])

    return end


@pytest.mark.usefixtures("runtime", "hooked_storage")
@pytest.mark.parametrize("streams", [False, True])
async def test_a_task_that_ends_before_the_message_is_stored_is_not_continued(
    streams: bool,
) -> None:
    with registry.registered(agent := asking()):
        client = OperationsClient(agent)
        asked = await client.send(in_context("hello"))
        HookedStorage.before_saving = once(end_task(UUID(asked.id)))
        if streams:
            task_id = (await client.stream(with_file("this")))[0]["task"]["id"]
        else:
            task_id = (await client.send(with_file("this"))).id
        ended, begun = await client.get(asked.id), await client.get(task_id)
    assert ended.status.state is TaskState.CANCELED
    assert (begun.status.state, begun.context_id) == (TaskState.INPUT_REQUIRED, CONTEXT)
    assert begun.id != ended.id
    assert len(begun.history) == 1


def once(work: Callable[[], None]) -> Callable[[], None]:
    """Return a callable that does some work the first time, and nothing after that."""
    left = [work]
    return lambda: left.pop()() if left else None
