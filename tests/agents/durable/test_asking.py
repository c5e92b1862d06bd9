"""What a turn asks other agents: once in all attempts, and in its caller's name."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from a2a_app import database, models
from a2a_app.agents import Agent, Answer, AskError, Message, TaskState, Turn, TurnCaller
from a2a_app.agents.durable.peers import DEPTH, Asking, install
from a2a_app.client import RemoteAgent
from a2a_app.client.peers import ClientPeer, ClientPeers
from a2a_app.operations.call import Caller, CallerName, Grant
from a2a_app.testing import agent_for_test
from tests.clients.operations import OperationsClient, client_of
from tests.conftest import ChangeSettings
from tests.cuts import Cut, attempts
from tests.sleepers import until

pytestmark = pytest.mark.usefixtures("runtime")


def rows() -> list[models.RemoteTask]:
    return list(models.RemoteTask.objects.order_by("number"))


def children(agent: str) -> list[models.Task]:
    return list(models.Task.objects.filter(agent=agent))


async def text_of(agent: Any, **declared: Any) -> str:
    """Return what an agent's only artifact says."""
    with client_of(agent, slug="asks", **declared) as client:
        task = await client.send("order 7")
    assert task.status.state is TaskState.COMPLETED, task
    return task.artifacts[0].parts[0].text or ""


async def test_another_agent_is_asked_and_its_reply_is_readable() -> None:
    heard: list[Turn] = []

    async def billing(turn: Turn) -> None:
        heard.append(turn)
        await turn.artifact("Refunded.", {"amount": 5})
        await turn.complete("Done.")

    async def agent(turn: Turn) -> str:
        reply = await turn.ask("billing", "Refund order 7", {"order": 7}, metadata={"urgent": True})
        assert (reply.state, reply.message and reply.message.text) == (TaskState.COMPLETED, "Done.")
        return f"{reply.text} {reply.data}"

    with agent_for_test(billing, slug="billing", input_modes=["*/*"]):
        assert await text_of(agent) == "Refunded. [{'amount': 5}]"
    assert [part.data for part in heard[0].message.parts if part.has_data] == [{"order": 7}]
    assert heard[0].metadata == {"urgent": True, DEPTH: 1}
    [row] = await database.run(rows)
    [child] = await database.run(children, "billing")
    assert (row.agent, row.name, row.text) == ("billing", "ask billing", "Refund order 7")
    assert (row.remote_id, row.state, row.is_local) == (str(child.pk), "TASK_STATE_COMPLETED", True)
    assert row.ended_at is not None


async def test_an_attempt_that_is_cut_before_or_after_the_reply_sends_nothing_twice() -> None:
    asked: list[str] = []
    replies: list[list[str]] = [[], [], []]
    cuts = [Cut(), Cut(1), Cut()]
    refunded = asyncio.Event()

    async def billing(turn: Turn) -> str:
        asked.append(turn.text)
        if len(asked) == 1:
            cuts[0].reached.set()  # the process of the other turn is gone
            await refunded.wait()
        return f"Refunded {turn.text}."

    async def agent(turn: Turn) -> None:
        if turn.attempt == 2:
            # As if it had ended before it knew which task it became.
            await database.run(lambda: models.RemoteTask.objects.update(remote_id=""))
            refunded.set()
        for order in ("7", "8"):
            replies[turn.attempt - 1].append((await turn.ask("billing", order)).text)
            await cuts[turn.attempt - 1]()

    with agent_for_test(billing, slug="billing"):
        await attempts(agent, *cuts, attempts=3)
    assert asked == ["7", "8"]
    assert replies == [[], ["Refunded 7.", "Refunded 8."], ["Refunded 7.", "Refunded 8."]]
    assert [row.name for row in await database.run(rows)] == ["ask billing", "ask billing#2"]


async def test_another_task_may_end_just_before_it_is_followed_again() -> None:
    cuts, released = [Cut(), Cut()], asyncio.Event()
    texts: list[str] = []

    class LatePeer(ClientPeer):
        async def look_at(self, task_id: str) -> Answer:
            found = await super().look_at(task_id)
            if not found.is_over:
                released.set()
                await until(models.Task.objects.filter(agent="billing", run=None).exists)
            return found

    class LatePeers(ClientPeers):
        @asynccontextmanager
        async def connect(self, agent: str, asking: Asking) -> AsyncGenerator[ClientPeer, None]:
            async with RemoteAgent(agent, user=asking) as remote:
                yield LatePeer(remote)

    async def billing(turn: Turn) -> str:
        cuts[0].reached.set()
        await released.wait()
        return "Refunded."

    async def agent(turn: Turn) -> None:
        texts.append((await turn.ask("billing", "Refund.")).text)

    install(LatePeers())
    try:
        with agent_for_test(billing, slug="billing"):
            await attempts(agent, *cuts, attempts=2)
    finally:
        install(ClientPeers())
    assert texts == ["Refunded."]


async def test_what_another_agent_does_not_do_is_an_error_that_is_kept() -> None:
    caught: list[AskError] = []
    cuts = [Cut(0), Cut()]

    async def billing(turn: Turn) -> None:
        await turn.reject("Too late.")

    async def agent(turn: Turn) -> None:
        for name in ("billing", "nobody"):
            try:
                await turn.ask(name, "Refund order 7")
            except AskError as error:
                caught.append(error)
        await cuts[turn.attempt - 1]()

    with agent_for_test(billing, slug="billing"):
        await attempts(agent, *cuts, attempts=2)
    rejected, unknown, *again = [(error.kind, error.text) for error in caught]
    assert rejected == ("TASK_STATE_REJECTED", "Too late.")
    assert caught[0].reply and caught[0].reply.state is TaskState.REJECTED
    assert unknown[0].endswith("RemoteAgentError") and "no agent of this project" in unknown[1]
    assert again == [rejected, unknown]
    [row, _] = await database.run(rows)
    assert (row.state, row.ended_at is None) == ("TASK_STATE_REJECTED", False)


async def test_agents_that_ask_each_other_in_a_circle_are_stopped(a2a: ChangeSettings) -> None:
    a2a(MAX_ASK_DEPTH=3)
    begun: list[str] = []

    async def one(turn: Turn) -> str:
        begun.append("one")
        return (await turn.ask("two", "Ask.")).text

    async def two(turn: Turn) -> str:
        begun.append("two")
        return (await turn.ask("one", "Ask.")).text

    with agent_for_test(two, slug="two"), client_of(one, slug="one") as client:
        task = await client.send()
    assert task.status.state is TaskState.FAILED
    assert begun == ["one", "two", "one", "two"]
    last = models.Step.objects.filter(error_kind__endswith="LoopError")
    assert "MAX_ASK_DEPTH is 3" in await database.run(lambda: last.get().error)


async def test_the_caller_of_the_turn_asks_with_its_tenant_and_the_limits_of_its_key() -> None:
    callers: list[TurnCaller] = []

    async def billing(turn: Turn) -> None:
        callers.append(turn.caller)

    async def agent(turn: Turn) -> None:
        callers.append(turn.caller)
        await turn.ask("billing", "Refund order 7")

    permitted: list[Any] = []

    def permit(caller: Any, operation: str) -> bool:
        permitted.append(caller)
        return True

    with (
        agent_for_test(billing, slug="billing", permission=permit),
        client_of(agent) as client,
    ):
        grant = Grant(CallerName("ann"), frozenset({"send"}), credential="key-1")
        caller = Caller("name:ann", None, grant.identity, grant)
        client.call = replace(client.call, caller=caller, tenant_key="blue")
        assert (await client.send()).status.state is TaskState.COMPLETED
    asking, asked = callers
    assert asked == asking
    assert (asked.name, asked.tenant, asked.key) == ("ann", "blue", "key-1")
    assert asked.scopes == frozenset({"send"})
    assert permitted and {*permitted} == {CallerName("ann")}
    [child] = await database.run(children, "billing")
    assert child.owner == "tenant:blue/name:ann"


async def test_credentials_for_some_agents_are_for_no_others_by_way_of_these() -> None:
    billed: list[TurnCaller] = []
    errors: list[AskError] = []

    async def billing(turn: Turn) -> None:
        billed.append(turn.caller)

    async def front(turn: Turn) -> None:
        try:
            await turn.ask("billing", "Refund order 7")
        except AskError as error:
            errors.append(error)

    def calling(client: OperationsClient, *agents: str) -> OperationsClient:
        grant = Grant(CallerName("ann"), agents=frozenset(agents), credential="key-1")
        caller = Caller("name:ann", None, grant.identity, grant)
        client.call = replace(client.call, caller=caller)
        return client

    with agent_for_test(billing, slug="billing"):
        with client_of(front, slug="front") as client:
            await calling(client, "front").send("hello")
            [error] = errors
            assert "PermissionDeniedError" in error.kind
            assert "not for this agent" in str(error)
            assert not billed
            await calling(client, "front", "billing").send("hello")
        with client_of(front, slug="front", asks_as=lambda *_: CallerName("planner")) as client:
            await calling(client, "front").send("hello")
    assert [caller.name for caller in billed] == ["ann", "planner"]
    assert [caller.agents for caller in billed] == [{"front", "billing"}, None]


async def test_an_agent_may_choose_in_whose_name_it_asks() -> None:
    chosen: list[tuple[str, str]] = []
    callers: list[str] = []

    async def billing(turn: Turn) -> None:
        callers.append(turn.caller.name)

    async def agent(turn: Turn) -> None:
        await turn.ask("billing", "Refund order 7")
        await turn.ask("billing", "Refund order 8")

    async def asks_as(caller: TurnCaller, agent: str) -> CallerName | TurnCaller:
        chosen.append((caller.owner, agent))
        return CallerName("the planner") if len(chosen) == 1 else caller

    with (
        agent_for_test(billing, slug="billing"),
        client_of(agent, asks_as=asks_as) as nobody,
    ):
        client = OperationsClient(nobody.call.agent, "name:ann")
        client.call = replace(client.call, tenant_key="blue")
        assert (await client.send()).status.state is TaskState.COMPLETED
    assert callers == ["the planner", "ann"]
    owners = {child.owner for child in await database.run(children, "billing")}
    assert owners == {"tenant:blue/name:the planner", "tenant:blue/name:ann"}
    assert chosen == [("name:ann", "billing")] * 2


async def test_a_reply_that_takes_too_long_is_an_error_and_time_counts_over_attempts() -> None:
    errors: list[str] = []
    began = asyncio.Event()
    cuts = [Cut(), Cut()]

    async def billing(turn: Turn) -> None:
        cuts[0].reached.set()
        await asyncio.Event().wait()

    async def agent(turn: Turn) -> None:
        began.set()
        try:
            # In the first attempt it does not come to that, and in the second it is over at once.
            await turn.ask("billing", "Refund order 7", timeout=3600 if turn.attempt == 1 else 1e-3)
        except AskError as error:
            errors.append(error.kind)

    with agent_for_test(billing, slug="billing"):
        await attempts(agent, *cuts, attempts=2)
    assert errors == ["builtins.TimeoutError"]


async def test_a_synchronous_agent_asks_and_gets_an_answer_without_a_task() -> None:
    class Quick(Agent):
        async def answer(self, message: Message) -> str:
            return f"At once: {message.text}"

    def agent(turn: Turn) -> str:
        return turn.wait(turn.ask("quick", "Well?")).text

    with agent_for_test(Quick, slug="quick"):
        assert await text_of(agent) == "At once: Well?"
    [row] = await database.run(rows)
    assert (row.remote_id, row.state) == ("", "")


@pytest.mark.slow
async def test_a_task_that_waits_is_continued_by_its_reply_and_an_agent_may_not_stream() -> None:
    async def billing(turn: Turn) -> None:
        if turn.number == 1:
            await turn.input_required("Which order?")
        else:
            await turn.complete(f"Refunded {turn.text}.")

    async def agent(turn: Turn) -> str:
        asked = await turn.ask("billing", "Refund.", asks_client=False)
        assert asked.state is TaskState.INPUT_REQUIRED
        reply = await turn.ask("billing", "7", task=asked)
        assert reply.task_id == asked.task_id
        return reply.text

    with agent_for_test(billing, slug="billing", streaming=False):
        assert await text_of(agent) == "Refunded 7."
