"""Other agents that are away for a moment, long after a turn has asked them."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from a2a_app import database, models
from a2a_app.agents import Answer, TaskState, Turn
from a2a_app.agents.peers import Asking, PeerAwayError, install
from a2a_app.client import RemoteAgent
from a2a_app.client.peers import ClientPeer, ClientPeers
from a2a_app.testing import agent_for_test
from tests.clients.operations import client_of
from tests.conftest import ChangeSettings
from tests.cuts import Cut, attempts
from tests.sleepers import SECONDS, until

pytestmark = pytest.mark.usefixtures("runtime")


class Line:
    """The line to another agent, which breaks now and then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.broken: list[str] = []
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
    monkeypatch.setattr("a2a_app.agents.errands.FIRST_PAUSE_SECONDS", 0.01)
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
