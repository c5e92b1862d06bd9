"""What turns wait for that have asked other agents: answers, questions that are passed on, ends."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from django.utils import timezone

from a2a_app import database, models, runners
from a2a_app.agents import Answer, AskError, TaskState, Turn
from a2a_app.models.run import Outcome
from a2a_app.protocol import Part, Task
from a2a_app.protocol.states import TERMINAL_STATES
from a2a_app.store.durable.approvals import PASSED_ON
from a2a_app.store.prune import Age, Whose, forget_tasks
from a2a_app.store.removal import remove_tasks
from a2a_app.testing import agent_for_test
from tests.approvals import answer, said
from tests.clients.operations import OperationsClient, client_of
from tests.conftest import ChangeSettings
from tests.sleepers import SECONDS, until

pytestmark = pytest.mark.usefixtures("runtime")

DURABLE: dict[str, Any] = {"durable": True}


@pytest.fixture(autouse=True)
def puts_away(a2a: ChangeSettings) -> None:
    """Have turns put away at once; what wakes them is what has come, and no sweep."""
    a2a(PUT_AWAY_SECONDS=0, SWEEP_SECONDS=60)


@contextmanager
def agents(**code: Any) -> Iterator[None]:
    """Register durable agents by their slugs."""
    with ExitStack() as stack:
        for slug, each in code.items():
            stack.enter_context(agent_for_test(each, slug=slug, **DURABLE))
        yield


def text_of(reply: Answer) -> str:
    """Return the text of a reply's status."""
    return reply.message.text if reply.message else ""


def put_away(number: int) -> bool:
    return models.Run.objects.filter(outcome=Outcome.PUT_AWAY).count() == number


def states() -> dict[str, str]:
    """Return the state of the newest task of each agent."""
    return dict(models.Task.objects.order_by("created_at").values_list("agent", "state"))


async def ended(client: OperationsClient, task_id: str) -> Task:
    """Wait until a task has ended, and return it."""
    await until(models.Task.objects.filter(pk=task_id, state__in=TERMINAL_STATES).exists)
    return await client.get(task_id)


async def test_a_turn_that_waits_for_another_agent_is_put_away_and_woken_by_its_end() -> None:
    released = asyncio.Event()

    async def billing(turn: Turn) -> str:
        await released.wait()
        return "Refunded."

    async def support(turn: Turn) -> str:
        return f"{(await turn.ask('billing', 'Refund.')).text} Attempt {turn.attempt}."

    with agents(billing=billing), client_of(support, slug="support", **DURABLE) as client:
        sending = asyncio.create_task(client.send())
        await until(lambda: put_away(1))
        worker = runners.current().worker
        await until(lambda: len(worker.run_ids) == 1)
        released.set()
        task = await asyncio.wait_for(sending, SECONDS)
    assert task.artifacts[0].parts[0].text == "Refunded. Attempt 2."


@pytest.mark.slow
async def test_questions_of_a_grandchild_are_answered_by_the_client_of_the_first() -> None:
    heard: list[str] = []

    async def payments(turn: Turn) -> None:
        heard.append(turn.text)
        if turn.number < 3:
            await turn.input_required(
                ["Which order?", "Sure?"][turn.number - 1], {"n": turn.number}
            )
        else:
            await turn.complete(f"Paid back after {turn.text}.")

    async def billing(turn: Turn) -> None:
        reply = await turn.ask("payments", turn.text)
        await turn.complete(f"Billing: {text_of(reply)}")

    async def support(turn: Turn) -> None:
        reply = await turn.ask("billing", turn.text)
        await turn.complete(f"Support: {text_of(reply)}")

    with (
        agents(billing=billing, payments=payments),
        client_of(support, slug="support", **DURABLE) as client,
    ):
        asked = await client.send("Refund.")
        assert (asked.status.state, said(asked)) == (TaskState.INPUT_REQUIRED, "Which order?")
        assert asked.status.message and asked.status.message.parts[1].data == {"n": 1}
        assert asked.status.message.metadata[PASSED_ON]["agent"] == "billing"
        again = await client.send(answer(asked, Part(text="7")))
        assert (again.status.state, said(again)) == (TaskState.INPUT_REQUIRED, "Sure?")
        done = await client.send(answer(again, Part(text="yes")))
    assert said(done) == "Support: Billing: Paid back after yes."
    assert heard == ["Refund.", "7", "yes"]
    assert set((await database.run(states)).values()) == {"TASK_STATE_COMPLETED"}


@pytest.mark.slow
async def test_another_agent_that_is_authorized_meanwhile_needs_no_answer(
    a2a: ChangeSettings,
) -> None:
    a2a(SWEEP_SECONDS=0.1)
    authorized = asyncio.Event()

    async def billing(turn: Turn) -> None:
        await turn.auth_required("Sign in.")
        await authorized.wait()
        await turn.working("Thanks.")
        await turn.complete("Refunded.")

    async def support(turn: Turn) -> None:
        reply = await turn.ask("billing", "Refund.")
        await turn.complete(f"Support: {text_of(reply)}")

    with agents(billing=billing), client_of(support, slug="support", **DURABLE) as client:
        asked = await client.send()
        assert (asked.status.state, said(asked)) == (TaskState.AUTH_REQUIRED, "Sign in.")
        authorized.set()
        assert said(await ended(client, asked.id)) == "Support: Refunded."


async def test_a_cancel_stops_all_that_was_asked() -> None:
    begun = asyncio.Event()

    async def payments(turn: Turn) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def billing(turn: Turn) -> None:
        await turn.ask("payments", "Pay back.")

    async def support(turn: Turn) -> None:
        await turn.ask("billing", "Refund.")

    with (
        agents(billing=billing, payments=payments),
        client_of(support, slug="support", **DURABLE) as client,
    ):
        task = await client.send(return_immediately=True)
        await asyncio.wait_for(begun.wait(), SECONDS)
        await until(lambda: put_away(2))
        await client.cancel(task.id)
        await until(lambda: set(states().values()) == {"TASK_STATE_CANCELED"})
        await until(lambda: not models.RemoteTask.objects.filter(ended_at=None).exists())
        worker = runners.current().worker
        await until(lambda: not worker.run_ids)


@pytest.mark.slow
async def test_what_takes_too_long_is_canceled() -> None:
    async def billing(turn: Turn) -> None:
        await asyncio.Event().wait()

    async def support(turn: Turn) -> str:
        try:
            # Longer than a busy machine takes to begin the other task.
            await turn.ask("billing", "Refund.", timeout=1.5)
        except AskError as error:
            return error.kind
        return ""

    with agents(billing=billing), client_of(support, slug="support", **DURABLE) as client:
        task = await client.send()
        await until(lambda: states()["billing"] == "TASK_STATE_CANCELED")
    assert task.artifacts[0].parts[0].text == "builtins.TimeoutError"


async def test_several_are_asked_at_once() -> None:
    released = {name: asyncio.Event() for name in "abc"}
    paid: list[int] = []

    async def billing(turn: Turn) -> str:
        await released[turn.text].wait()
        return turn.text.upper()

    async def support(turn: Turn) -> str:
        asks = [turn.ask("billing", name) for name in "abc"]
        first, *replies = await turn.gather(turn.step("pay", paid.append, 1), *asks)
        return f"{first} {[reply.text for reply in replies]}"

    with agents(billing=billing), client_of(support, slug="support", **DURABLE) as client:
        sending = asyncio.create_task(client.send())
        for name in "cba":
            await until(models.RemoteTask.objects.filter(text=name).exclude(remote_id="").exists)
            released[name].set()
        task = await asyncio.wait_for(sending, SECONDS)
    assert task.artifacts[0].parts[0].text == "None ['A', 'B', 'C']"
    assert paid == [1]
    assert await database.run(steps) == ["pay", "ask billing", "ask billing#2", "ask billing#3"]


async def test_nothing_at_once_is_done_at_once() -> None:
    async def support(turn: Turn) -> str:
        return f"{await turn.gather()}"

    with client_of(support, slug="support", **DURABLE) as client:
        assert (await client.send()).artifacts[0].parts[0].text == "[]"


async def test_of_several_errors_the_first_in_order_counts() -> None:
    async def billing(turn: Turn) -> None:
        await turn.reject(turn.text)

    async def support(turn: Turn) -> str:
        with pytest.raises(AskError) as caught:
            await turn.gather(turn.ask("billing", "1"), turn.ask("billing", "2"))
        return caught.value.text

    with agents(billing=billing), client_of(support, slug="support", **DURABLE) as client:
        task = await client.send()
    assert task.artifacts[0].parts[0].text == "1"


def steps() -> list[str]:
    return list(models.Step.objects.order_by("number").values_list("name", flat=True))


@pytest.mark.slow
async def test_a_turn_that_waits_for_a_task_that_is_deleted_goes_on(a2a: ChangeSettings) -> None:
    a2a(SWEEP_SECONDS=0.1)
    begun = asyncio.Event()

    async def billing(turn: Turn) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def support(turn: Turn) -> str:
        with pytest.raises(AskError) as caught:
            await turn.ask("billing", "Refund.")
        return caught.value.kind

    with agents(billing=billing), client_of(support, slug="support", **DURABLE) as client:
        await runners.current().begin()
        sending = asyncio.create_task(client.send())
        await asyncio.wait_for(begun.wait(), SECONDS)
        await until(lambda: put_away(1))
        await until(models.RemoteTask.objects.exclude(remote_id="").exists)
        await database.run(remove_tasks, models.Task.objects.filter(agent="billing"))
        task = await asyncio.wait_for(sending, SECONDS)
    assert task.artifacts[0].parts[0].text == "a2a_app.protocol.errors.TaskNotFoundError"


@pytest.mark.slow
async def test_what_a_task_has_asked_is_canceled_before_the_task_is_pruned(
    a2a: ChangeSettings,
) -> None:
    a2a(SWEEP_SECONDS=0.1)

    async def billing(turn: Turn) -> None:
        await turn.input_required("Which order?")

    async def support(turn: Turn) -> None:
        await turn.ask("billing", "Refund.")

    def prune() -> set[str]:
        """Prune what waits at the agent that was spoken to; return what agents still have."""
        now = timezone.now()
        age = Age(now, now, Whose(["support"]))
        forget_tasks(age, list(age.tasks().values_list("pk", flat=True)))
        return set(states())

    with agents(billing=billing), client_of(support, slug="support", **DURABLE) as client:
        asked = await client.send()
        assert asked.status.state is TaskState.INPUT_REQUIRED
        assert await database.run(prune) == {"billing", "support"}
        await until(lambda: states()["billing"] == "TASK_STATE_CANCELED")
        await until(lambda: prune() == {"billing"})
