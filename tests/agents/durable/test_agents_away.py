"""Other agents that are away for a moment, long after a turn has asked them."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.management import call_command
from django.utils import timezone

from a2a_app import database, models, runners
from a2a_app.agents import Answer, AskError, TaskState, Turn
from a2a_app.agents.durable.peers import Asking, PeerAwayError, install
from a2a_app.client import RemoteAgent
from a2a_app.client.peers import ClientPeer, ClientPeers
from a2a_app.operations.call import CallerName
from a2a_app.testing import agent_for_test
from tests.clients.operations import OperationsClient, client_of
from tests.conftest import ChangeSettings
from tests.cuts import Cut, attempts
from tests.sleepers import SECONDS, until

pytestmark = pytest.mark.usefixtures("runtime")


class Line:
    """The line to another agent, which breaks now and then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.broken: list[str] = []
        self.hangs = asyncio.Event()
        self.hangs.set()
        self.is_first = True
        self._later = timedelta(0)
        real = timezone.now
        monkeypatch.setattr(timezone, "now", lambda: real() + self._later)

    def pass_hours(self) -> None:
        """Let three hours pass."""
        self._later += timedelta(hours=3)

    def use(self, verb: str) -> None:
        """Raise if it is broken for what is to be done, and mend it."""
        if verb in self.broken:
            self.broken.remove(verb)
            raise PeerAwayError("Nobody is there.")


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """Connect agents by a line that the test breaks, and that is tried again at once."""
    monkeypatch.setattr("a2a_app.agents.durable.errands.FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("a2a_app.runners.canceler.PAUSE", timedelta(0))
    line = Line(monkeypatch)

    class AwayPeer(ClientPeer):
        async def ask(self, *args: Any, **kwargs: Any) -> AsyncGenerator[Answer, None]:
            async with aclosing(super().ask(*args, **kwargs)) as events:
                async for event in events:
                    yield event
                    line.use("ask")

        async def follow(self, task_id: str) -> AsyncGenerator[Answer, None]:
            line.use("follow")
            async with aclosing(super().follow(task_id)) as events:
                async for event in events:
                    yield event

        async def cancel(self, task_id: str) -> None:
            line.use("cancel")
            if not line.hangs.is_set():
                line.is_first, is_first = False, line.is_first
                await (line.hangs.wait() if is_first else asyncio.sleep(0))
            await super().cancel(task_id)

    class AwayPeers(ClientPeers):
        @asynccontextmanager
        async def connect(self, agent: str, asking: Asking) -> AsyncGenerator[ClientPeer, None]:
            async with RemoteAgent(agent, user=asking) as remote:
                yield AwayPeer(remote)

    install(AwayPeers())
    yield line
    install(ClientPeers())


async def test_an_agent_that_has_worked_for_hours_may_be_away_for_a_moment(line: Line) -> None:
    cuts, released, texts = [Cut(), Cut()], asyncio.Event(), list[str]()

    async def billing(turn: Turn) -> str:
        await turn.working("Soon.")
        line.pass_hours()
        line.broken.append("ask")  # the next event is the last that comes on this stream
        await turn.working("Later.")
        await until(lambda: "ask" not in line.broken)
        await turn.working("Still.")
        cuts[0].reached.set()  # the process of the other turn is gone
        await released.wait()
        return "Refunded."

    async def agent(turn: Turn) -> None:
        if turn.attempt == 2:
            line.broken.append("follow")
            released.set()
        texts.append((await turn.ask("billing", "Refund.")).text)

    with agent_for_test(billing, slug="billing"):
        await attempts(agent, *cuts, attempts=2)
    assert texts == ["Refunded."]
    assert line.broken == []


@pytest.mark.slow
async def test_a_task_that_was_asked_for_hours_ago_is_canceled_though_its_agent_is_away_at_first(
    line: Line, a2a: ChangeSettings
) -> None:
    a2a(SWEEP_SECONDS=0.1)
    begun = asyncio.Event()

    async def billing(turn: Turn) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def support(turn: Turn) -> None:
        await turn.ask("billing", "Refund.")

    billings = models.Task.objects.filter(agent="billing")
    with agent_for_test(billing, slug="billing"), client_of(support, slug="support") as client:
        task = await client.send(return_immediately=True)
        await asyncio.wait_for(begun.wait(), SECONDS)
        earlier = timezone.now() - timedelta(hours=3)
        asked = models.RemoteTask.objects
        await database.run(lambda: asked.update(created_at=earlier, heard_at=earlier))
        line.broken.append("cancel")
        await client.cancel(task.id)
        await until(billings.filter(state=TaskState.CANCELED.value).exists)
        await until(lambda: not models.RemoteTask.objects.filter(ended_at=None).exists())
    assert line.broken == []


@pytest.mark.slow
@pytest.mark.parametrize(("at_once", "seconds"), [(10, 60.0), (1, 0.1)])
async def test_an_agent_that_hangs_holds_no_other_cancel_up(
    line: Line, monkeypatch: pytest.MonkeyPatch, at_once: int, seconds: float
) -> None:
    monkeypatch.setattr("a2a_app.runners.canceler.AT_ONCE", at_once)
    monkeypatch.setattr("a2a_app.runners.canceler.SECONDS", seconds)
    begun: list[str] = []

    async def billing(turn: Turn) -> None:
        begun.append(turn.text)
        await asyncio.Event().wait()

    async def support(turn: Turn) -> None:
        await turn.gather(*(turn.ask("billing", f"order {number}") for number in range(3)))

    canceled = models.Task.objects.filter(agent="billing", state=TaskState.CANCELED.value)
    with agent_for_test(billing, slug="billing"), client_of(support, slug="support") as client:
        await runners.current().begin()
        task = await client.send(return_immediately=True)
        await until(lambda: models.RemoteTask.objects.exclude(remote_id="").count() == 3)
        line.hangs.clear()
        await client.cancel(task.id)
        await until(lambda: canceled.count() >= 2)
        line.hangs.set()
        await until(lambda: canceled.count() == 3)


async def test_who_is_forgotten_has_the_work_of_other_agents_canceled() -> None:
    begun = asyncio.Event()

    async def billing(turn: Turn) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def support(turn: Turn) -> None:
        await turn.ask("billing", "Refund.")

    def forget() -> str:
        asked, err = models.RemoteTask.objects.get(), StringIO()
        elsewhere = {"agent": "http://127.0.0.1:9/", "is_local": False, "remote_id": "7"}
        place = {"task": asked.task, "turn": 1, "number": 2}
        models.RemoteTask.objects.create(name="ask", **place, **elsewhere)
        call_command("a2a_forget", owner="name:ann", stdout=StringIO(), stderr=err)
        return err.getvalue()

    with (
        agent_for_test(billing, slug="billing"),
        client_of(support, slug="support", asks_as=lambda *_: CallerName("support")) as client,
    ):
        await OperationsClient(client.call.agent, "name:ann").send(return_immediately=True)
        await asyncio.wait_for(begun.wait(), SECONDS)
        await until(models.RemoteTask.objects.exclude(remote_id="").exists)
        assert "1 tasks of other agents could not be canceled" in await sync_to_async(forget)()
        [left] = await database.run(lambda: list(models.Task.objects.all()))
    assert (left.owner, left.state) == ("name:support", TaskState.CANCELED.value)


async def test_what_was_never_sent_keeps_no_cancel_waiting(
    monkeypatch: pytest.MonkeyPatch, a2a: ChangeSettings
) -> None:
    a2a(SWEEP_SECONDS=0.1)
    monkeypatch.setattr("a2a_app.runners.canceler.LIMIT", 1)
    begun = asyncio.Event()

    async def billing(turn: Turn) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def support(turn: Turn) -> None:
        for number in range(2):
            with pytest.raises(AskError):
                await turn.ask("nobody", str(number))
        await turn.ask("billing", "Refund.")

    asked = models.RemoteTask.objects
    with agent_for_test(billing, slug="billing"), client_of(support, slug="support") as client:
        await runners.current().begin()
        task = await client.send(return_immediately=True)
        await asyncio.wait_for(begun.wait(), SECONDS)
        await client.cancel(task.id)
        billings = models.Task.objects.filter(agent="billing")
        await until(billings.filter(state=TaskState.CANCELED.value).exists)
        earlier = timezone.now() - timedelta(hours=2)
        await database.run(lambda: asked.filter(agent="nobody").update(unwanted_at=earlier))
        await until(lambda: not asked.filter(ended_at=None).exists())
