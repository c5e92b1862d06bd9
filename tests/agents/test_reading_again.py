"""Live input after a crash: an attempt reads again what the one before has read."""

import pytest

from a2a_app import database, models
from a2a_app.agents import Turn
from a2a_app.agents.extensions import LIVE
from a2a_app.protocol import TaskState
from a2a_app.store.task_head import read_task_head
from a2a_app.store.updates import MessageReceived
from a2a_app.store.writes.append import append
from tests.conftest import ChangeSettings
from tests.cuts import Cut, attempts, said_in
from tests.tasks import new_message

pytestmark = pytest.mark.usefixtures("runtime")


def store_messages(*said: str) -> None:
    task = models.Task.objects.get()
    for text in said:
        message = new_message(text, task_id=str(task.pk))
        append(read_task_head(task.pk), [MessageReceived(message)])


@pytest.mark.slow
@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("at", range(5))
async def test_an_attempt_after_a_crash_reads_what_the_one_before_has_read(
    at: int, durable: bool, a2a: ChangeSettings
) -> None:
    a2a(POLL_SECONDS=0.05)
    seen: list[list[str]] = []
    cuts = [Cut(at), Cut()]

    async def agent(turn: Turn) -> None:
        cut = cuts[turn.attempt - 1]
        heard: list[str] = []
        seen.append(heard)

        async def look(place: str) -> None:
            while turn.interrupted.is_set():
                heard.append(f"{place} {(await turn.inbox.get()).text}")
            await turn.task()  # commits what was said and read: the rest is not known of a crash
            await cut()

        await turn.step("first", str)
        if turn.attempt == 1:
            await database.run(store_messages, "a", "b")
        await turn.interrupted.wait()
        await look("after the first")
        await turn.artifact("one")
        await turn.task()  # commits what was said
        if turn.attempt == 1:
            await database.run(store_messages, "c")
            await turn.interrupted.wait()
        await look("after one")
        await turn.step("second", str)
        await look("after the second")
        if turn.attempt == 1:
            await database.run(store_messages, "d")
            await turn.interrupted.wait()
        await turn.artifact("two")
        await look("after two")
        await turn.complete(" ".join(heard))

    task_id = await attempts(agent, *cuts, durable=durable, attempts=2, when_busy=LIVE)
    first, last = seen[0], seen[-1]
    # Only the log of a durable turn has what was said before a message was read.
    was_read = [(each if durable else each[-1]) for each in first]
    is_read = [(each if durable else each[-1]) for each in last]
    assert is_read[: len(was_read)] == was_read
    assert [each[-1] for each in last] == list("abcd")[: len(last)]
    assert len(first) <= len(last)
    state, said = (await database.run(said_in, task_id))[-1]
    assert (state, said) == (TaskState.COMPLETED, [{"text": " ".join(last)}])
