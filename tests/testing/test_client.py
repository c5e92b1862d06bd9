"""What the clients of `a2a_app.testing` send and read, and how they end."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.contrib.auth.models import User

from a2a_app import conf, runners
from a2a_app.agents import Agent, AgentNotFoundError, Message, Part, TaskState, Turn, registry
from a2a_app.protocol import TaskNotCancelableError, TaskNotFoundError, UnauthenticatedError
from a2a_app.pytest_plugin import MakeClient, a2a_client
from a2a_app.testing import AsyncClient, Client, agent_for_test, text_of
from a2a_app.testing.event_loop import LoopThread
from tests.bindings.authenticators import TOKEN

__all__ = ["a2a_client"]  # the fixture, wherever the plugin is not installed

pytestmark = pytest.mark.django_db
SECONDS = 20
both_versions = pytest.mark.parametrize("version", ["1.0", "0.3"])


async def counter(turn: Turn) -> AsyncIterator[Any]:
    """Count, and show what it was told."""
    for number in range(3):
        yield f"{number} "
    yield {"parts": len(turn.message.parts)}


async def asker(turn: Turn) -> str | None:
    """Ask for a name first."""
    if turn.number == 1:
        await turn.input_required("Who are you?")
        return None
    return f"Hello {turn.text}"


def echo_user(turn: Turn) -> str:
    """Say who has called."""
    return str(turn.user)


async def sleeper(turn: Turn) -> None:
    """Never answer."""
    await turn.working()
    await asyncio.Event().wait()


@both_versions
def test_a_stream_and_its_task_say_the_same_in_both_versions(
    a2a_client: MakeClient, version: str
) -> None:
    client = a2a_client(counter, version=version)
    events = list(client.stream(["hello", Part(raw=b"x", media_type="text/plain")]))
    assert events[0].task is not None
    assert events[-1].state is TaskState.COMPLETED and events[-1].is_over
    task = client.get(events[0])
    assert text_of(events) == text_of([]) + task.text == "0 1 2 "
    assert task.data == [{"parts": 2}]
    assert task.status == events[-1].status


@both_versions
def test_a_task_that_asks_is_continued(a2a_client: MakeClient, version: str) -> None:
    client = a2a_client(asker, version=version)
    asked = client.send("hello")
    assert (asked.state, asked.text) == (TaskState.INPUT_REQUIRED, "Who are you?")
    answered = client.send("Alice", task=asked)
    assert (answered.task_id, answered.text) == (asked.task_id, "Hello Alice")
    assert client.get(answered, history_length=1).task is not None


@both_versions
def test_a_task_is_canceled_and_its_subscriber_hears_of_it(
    a2a_client: MakeClient, version: str
) -> None:
    client = a2a_client(sleeper, version=version)
    begun = client.send("hello", return_immediately=True)
    events = client.subscribe(begun)
    assert next(events).task_id == begun.task_id
    assert client.cancel(begun).state is TaskState.CANCELED
    assert [event.state for event in events][-1] is TaskState.CANCELED
    assert client.wait(begun).state is TaskState.CANCELED


@both_versions
def test_an_error_is_raised_as_what_it_is(a2a_client: MakeClient, version: str) -> None:
    client = a2a_client(counter, version=version)
    ended = client.send("hello")
    with pytest.raises(TaskNotCancelableError):
        client.cancel(ended)
    with pytest.raises(TaskNotFoundError):
        client.get("00000000-0000-7000-8000-000000000000")
    with pytest.raises(TaskNotFoundError):
        list(client.stream("more", task="00000000-0000-7000-8000-000000000000"))


def test_an_answer_without_a_task_is_a_message(a2a_client: MakeClient) -> None:
    class Quick(Agent):
        async def answer(self, message: Message) -> str:
            return f"You said {message.text}."

    answer = a2a_client(Quick).send("hello")
    assert (answer.task, answer.text, answer.is_over) == (None, "You said hello.", True)


def test_callers_see_their_own_tasks_only(a2a_client: MakeClient) -> None:
    alice = User.objects.create_user("alice")
    hers = a2a_client(counter, user=alice).send("hello")
    assert a2a_client(counter).list() == []
    with pytest.raises(TaskNotFoundError):
        a2a_client(counter).get(hers)


def test_a_client_of_nobody_is_known_by_its_headers_only(
    a2a_client: MakeClient, settings: Any
) -> None:
    settings.A2A = {
        **settings.A2A,
        "ANONYMOUS": "refuse",
        "AUTHENTICATION": ["tests.bindings.authenticators.Bearer"],
    }
    User.objects.create_user("ann")
    with pytest.raises(UnauthenticatedError):
        a2a_client(echo_user, user=None).send("hello")
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert a2a_client(echo_user, user=None, headers=headers).send("hello").text == "ann"


def test_a_time_limit_is_broken_without_waiting_for_it(a2a_client: MakeClient) -> None:
    at_work = threading.Event()

    async def endless(turn: Turn) -> None:
        at_work.set()
        await asyncio.Event().wait()

    with agent_for_test(endless, time_limit=60) as agent, Client(agent) as client:
        begun = client.send("hello", return_immediately=True)
        assert at_work.wait(SECONDS)  # its time is counted from when it begins
        client.clock.advance(59)
        assert client.get(begun).state is not TaskState.FAILED
        client.clock.advance(2)
        failed = client.wait(begun)
    assert (failed.state, failed.text) == (
        TaskState.FAILED,
        "The agent took longer than 60 seconds.",
    )


def test_time_that_is_frozen_passes_when_the_test_says_so(a2a_client: MakeClient) -> None:
    at_work = threading.Event()

    async def napper(turn: Turn) -> str:
        at_work.set()
        await asyncio.sleep(0.05)
        return "awake"

    client = a2a_client(napper)
    client.clock.freeze()
    begun = client.send("hello", return_immediately=True)
    events = client.subscribe(begun)
    next(events)
    before = client.clock.time()
    assert at_work.wait(SECONDS)
    # By the time that the event loop answers, the agent has fallen asleep.
    assert client.get(begun).state is not TaskState.COMPLETED
    client.clock.advance(0.05)
    assert [event.state for event in events][-1] is TaskState.COMPLETED
    assert client.clock.time() == before + 0.05


@pytest.mark.slow
def test_an_agent_that_does_not_answer_is_an_error_in_time(a2a_client: MakeClient) -> None:
    client = a2a_client(sleeper, seconds=0.2)
    with pytest.raises(TimeoutError, match="'sleeper' has not answered within"):
        client.send("hello")


def test_an_agent_is_there_for_the_test_and_gone_after_it() -> None:
    with agent_for_test(counter, name="Counts") as agent, Client("counter") as client:
        assert client.agent is agent
        assert client.card().name == "Counts"
    with pytest.raises(AgentNotFoundError):
        registry.get("counter")
    with pytest.raises(AgentNotFoundError), Client("counter"):
        pass


def test_the_settings_of_the_project_come_back() -> None:
    before = conf.current()
    with Client(counter):
        assert conf.current().runner == "embedded"
    assert conf.current() == before


async def test_a_client_for_asynchronous_code_works_on_the_test_s_event_loop() -> None:
    async with AsyncClient(asker) as client:
        asked = await client.send("hello")
        events = [event async for event in client.stream("Bob", task=asked)]
        assert text_of(events) == "Hello Bob"
        with pytest.raises(TypeError, match="use AsyncClient"), Client(asker):
            pass


@pytest.mark.django_db(transaction=True)
async def test_an_event_loop_has_clients_again_while_the_app_is_at_work_on_another() -> None:
    lasting = LoopThread()
    for _ in range(2):
        async with AsyncClient(counter) as client:
            assert not runners.current().worker.is_closing
            assert (await client.send("hello")).text == "0 1 2 "
            await asyncio.to_thread(lasting.run, runners.current().begin())
    await asyncio.to_thread(lasting.run, runners.current().close())
    lasting.end()
