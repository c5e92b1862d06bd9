"""What receivers of signals hear, in which thread, and what they cannot break."""

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.dispatch import Signal
from pytest_django import Settings

from a2a_app import database, models, runners, signals
from a2a_app.agents import TaskState, Turn
from a2a_app.protocol import TaskPushNotificationConfig
from a2a_app.testing import AsyncClient
from tests.clients.operations import OperationsClient, client_of
from tests.receiver import receiving
from tests.servers import ROOT
from tests.tasks import new_message

pytestmark = pytest.mark.usefixtures("runtime")

SECONDS = 20
ALL = {name: value for name, value in vars(signals).items() if isinstance(value, Signal)}


@contextmanager
def connected(receiver: Callable[..., Any], *to: Signal) -> Iterator[None]:
    """Have a receiver hear signals, by default all of them."""
    for signal in to or ALL.values():
        signal.connect(receiver)
    try:
        yield
    finally:
        for signal in to or ALL.values():
            signal.disconnect(receiver)


class Heard:
    """Receives every signal, and notes it by its name."""

    def __init__(self) -> None:
        self.signals: list[tuple[str, dict[str, Any]]] = []
        self._arrived = asyncio.Event()

    async def __call__(self, signal: Signal, sender: Any, **arguments: Any) -> None:
        [name] = [name for name, each in ALL.items() if each is signal]
        self.signals.append((name, {"sender": sender, **arguments}))
        self._arrived.set()

    async def gets(self, name: str) -> dict[str, Any]:
        """Wait until a signal has come, and return its arguments."""
        async with asyncio.timeout(SECONDS):
            while not (found := [said for each, said in self.signals if each == name]):
                self._arrived.clear()
                await self._arrived.wait()
        return found[0]

    @property
    def changes(self) -> list[str]:
        """Each signal, with the states that it tells."""
        return [
            " ".join([name, *(said[key].name for key in ("old", "new", "state") if key in said)])
            for name, said in self.signals
        ]


@pytest.fixture
def heard() -> Iterator[Heard]:
    heard = Heard()
    with connected(heard.__call__):
        yield heard


async def asker(turn: Turn) -> None:
    await turn.working()
    await turn.working("still at it")
    if turn.number == 1:
        await turn.input_required("Go on?")


def documented(name: str) -> set[str]:
    """Return the arguments that the reference has for a signal."""
    page = (ROOT / "docs" / "reference" / "signals.md").read_text()
    [row] = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
    arguments = row.split("|")[3]
    found = set(re.findall(r"`(\w+)`", arguments))
    if "those of tasks" in arguments:
        found |= set(re.findall(r"^\| `(\w+)` \|", page.partition("Those of tasks are")[2], re.M))
    return found


async def test_each_change_of_a_task_is_sent_once_and_in_order(heard: Heard) -> None:
    user = await database.run(User.objects.create, username="ann")
    async with AsyncClient(asker, user=user) as client:
        asked = await client.send("begin")
        assert heard.changes == [
            "task_created SUBMITTED",
            "task_state_changed SUBMITTED WORKING",
            "task_state_changed WORKING INPUT_REQUIRED",
            "task_waiting INPUT_REQUIRED",
        ]
        heard.signals.clear()
        await client.send("go on", task=asked)
        assert heard.changes == [
            "task_state_changed INPUT_REQUIRED SUBMITTED",
            "task_state_changed SUBMITTED WORKING",
            "task_state_changed WORKING COMPLETED",
            "task_ended COMPLETED",
        ]
        slug = client.agent.slug
    for name, said in heard.signals:
        assert documented(name) == set(said) - {"sender"}
    _, last = heard.signals[-1]
    assert str(last["task_id"]) == asked.task_id and last["context_id"] == asked.context_id
    assert (last["sender"], last["agent"], last["user_id"], last["tenant"]) == (
        models.Task,
        slug,
        user.pk,
        "",
    )
    numbers = [said["seq"] for _, said in heard.signals]
    assert numbers == sorted(numbers)


async def test_a_change_is_committed_before_its_receivers_hear_of_it_and_cancelling_is_one() -> (
    None
):
    found: list[tuple[str, str]] = []

    def look(task_id: Any, new: TaskState, **_: Any) -> None:
        assert threading.current_thread() is not threading.main_thread()
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        found.append((models.Task.objects.get(pk=task_id).state, new.value))

    async def waiter(turn: Turn) -> None:
        await asyncio.Event().wait()

    with client_of(waiter) as client, connected(look, signals.task_state_changed):
        task = await client.send(return_immediately=True)
        await client.cancel(task.id)
        await signals.settled()
    assert found == [("TASK_STATE_CANCELED", "TASK_STATE_CANCELED")]


@pytest.mark.parametrize("error", [ValueError, SystemExit, asyncio.CancelledError])
@pytest.mark.parametrize("is_async", [True, False])
async def test_a_receiver_that_raises_is_logged_and_breaks_nothing(
    error: type[BaseException], is_async: bool, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**_: Any) -> None:
        raise error("broken")

    async def fail_on_loop(**_: Any) -> None:
        raise error("broken")

    with client_of(asker) as client, connected(fail_on_loop if is_async else fail):
        task = await client.send()
        await signals.settled()
    assert task.status.state is TaskState.INPUT_REQUIRED
    assert heard.changes[-1] == "task_waiting INPUT_REQUIRED"
    logged = [each for each in caplog.records if each.exc_info]
    assert len(logged) == 4
    assert {each.name for each in logged} <= {"django.dispatch", "a2a_app.signals"}


async def test_a_receiver_that_does_not_return_is_cancelled_and_the_task_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def hang(**_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(signals, "RECEIVER_SECONDS", 0.01)
    with client_of(asker) as client, connected(hang, signals.task_state_changed):
        async with asyncio.timeout(SECONDS):
            task = await client.send()
            await signals.settled()
    assert task.status.state is TaskState.INPUT_REQUIRED
    assert "Receivers of signals took longer than" in caplog.text


async def test_a_webhook_that_is_given_up_is_told(heard: Heard, settings: Settings) -> None:
    settings.A2A = {
        **settings.A2A,
        "PUSH_HOSTS": ["127.0.0.1"],
        "PUSH_ALLOW_HTTP": True,
        "PUSH_PATIENCE_SECONDS": 0,
    }
    await runners.current().begin()
    with client_of(asker) as client:
        async with receiving(lambda number: 500) as receiver:
            webhook = TaskPushNotificationConfig(url=receiver.url)
            task = await client.send(new_message(), task_push_notification_config=webhook)
            told = await heard.gets("webhook_given_up")
    assert documented("webhook_given_up") == set(told) - {"sender"}
    assert told["sender"] is models.PushNotificationConfig
    assert (str(told["task_id"]), told["url"]) == (task.id, receiver.url)
    assert "500" in told["reason"]


async def test_a_project_without_receivers_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("Nobody listens.")

    monkeypatch.setattr(signals, "begin_sending", refuse)
    with client_of(asker) as client:
        await OperationsClient(client.call.agent).send()
