"""CancelTask (section 3.1.5): which tasks it refuses, and what agents hear of it."""

import asyncio

import pytest

from a2a_app import database
from a2a_app.agents import Agent, Turn, TurnCaller
from a2a_app.protocol import Task, TaskNotCancelableError, TaskState
from a2a_app.runners.execute import Execution
from tests.clients.operations import SECONDS, client_of
from tests.tasks import SCOPE, begin_and_claim

pytestmark = pytest.mark.usefixtures("runtime")


async def test_an_agent_that_cannot_be_stopped_is_not_canceled() -> None:
    async def agent(turn: Turn) -> None:
        await turn.input_required("?")

    with client_of(agent, cancelable=False) as client:
        task = await client.send()
        with pytest.raises(TaskNotCancelableError):
            await client.cancel(task.id)


async def test_a_completed_task_is_not_canceled() -> None:
    async def agent(turn: Turn) -> None:
        return

    with client_of(agent) as client:
        task = await client.send()
        with pytest.raises(TaskNotCancelableError):
            await client.cancel(task.id)
        assert (await client.get(task.id)).status.state is TaskState.COMPLETED


class Seats(Agent):
    """Notes what it is to clean up, and whether the client wants to wait."""

    def __init__(self) -> None:
        self.cleaned: list[tuple[Task, TurnCaller]] = []
        self.begun, self.was_told = asyncio.Event(), asyncio.Event()

    async def run(self, turn: Turn) -> None:
        if turn.text == "work":
            self.begun.set()
            await asyncio.Event().wait()
        await turn.input_required("Which row?")

    async def cancel(self, task: Task, caller: TurnCaller) -> None:
        self.cleaned.append((task, caller))
        self.was_told.set()
        raise RuntimeError("nothing was held")


async def test_an_agent_cleans_up_after_a_canceled_task_that_waited_once_whatever_it_raises(
    caplog: pytest.LogCaptureFixture,
) -> None:
    subject = Seats()
    with client_of(subject, name="Seats") as client:
        asked = await client.send()
        for _ in range(2):
            assert (await client.cancel(asked.id)).status.state is TaskState.CANCELED
        # By the request, or by the run, if its end was not stored yet when the request came.
        async with asyncio.timeout(SECONDS):
            await subject.was_told.wait()
    [(task, caller)] = subject.cleaned
    assert task.id == asked.id and task.status.state is TaskState.CANCELED
    assert caller.owner == client.call.caller.owner
    assert f"The agent 'seats' failed to clean up after task {asked.id}." in caplog.text


async def test_an_agent_cleans_up_after_a_task_that_was_canceled_as_its_turn_returned() -> None:
    class Late(Seats):
        async def run(self, turn: Turn) -> None:
            await turn.input_required("Which row?")
            await client.cancel(turn.task_id)

    subject = Late()
    # Performed here, so that no worker hears that the turn is to be stopped.
    with client_of(subject, slug=SCOPE.agent) as client:
        claim = await database.run(begin_and_claim)
        await Execution(claim).perform()
    [(task, caller)] = subject.cleaned
    assert task.id == str(claim.head.task_id) and task.status.state is TaskState.CANCELED
    assert caller == TurnCaller.of(claim)


async def test_an_agent_is_not_asked_to_clean_up_where_its_turn_is_stopped() -> None:
    subject = Seats()
    with client_of(subject, name="Seats") as client:
        sent = await client.send("work", return_immediately=True)
        async with asyncio.timeout(SECONDS):
            await subject.begun.wait()
        await client.cancel(sent.id)
    assert subject.cleaned == []
