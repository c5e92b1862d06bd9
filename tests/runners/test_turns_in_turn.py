"""Turns in turn: an owner with many turns keeps nobody else's waiting."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from a2a_app import database, models, runners
from a2a_app.agents import Turn
from a2a_app.concurrency.shares import Shares
from a2a_app.models.owners import Scope, queue_of
from a2a_app.protocol import Part, ResourceExhaustedError, TaskState
from a2a_app.runners import line
from a2a_app.runners.line import Line
from a2a_app.runners.worker import Worker
from a2a_app.store.waiting import LOOKS, find_waiting
from tests.approvals import answer
from tests.clients.operations import OperationsClient, client_of
from tests.conftest import ChangeSettings
from tests.tasks import SCOPE, begin, new_message

pytestmark = pytest.mark.usefixtures("runtime")

SECONDS = 20


@contextmanager
def gate() -> Iterator[tuple[OperationsClient, asyncio.Event, asyncio.Queue[str]]]:
    """Yield a client of an agent that waits, what it waits for, and what it begins to answer."""
    opened, begun = asyncio.Event(), asyncio.Queue[str]()

    async def agent(turn: Turn) -> None:
        begun.put_nowait(turn.text)
        await opened.wait()

    with client_of(agent, slug="gate") as client:
        yield client, opened, begun
        opened.set()


async def all_ended() -> None:
    """Return once every turn is over, so that none is begun whose agent is not there any more."""
    async with asyncio.timeout(SECONDS):
        while await models.Run.objects.filter(ended_at=None).aexists():
            pass


@pytest.mark.slow
async def test_a_hundred_turns_of_one_owner_do_not_keep_anothers_first_waiting(
    a2a: ChangeSettings,
) -> None:
    a2a(MAX_RUNS=5)
    with gate() as (greedy, opened, begun):
        tasks = [await greedy.send(f"greedy {n}", return_immediately=True) for n in range(100)]
        others = [OperationsClient(greedy.call.agent, f"name:{number}") for number in range(2)]
        await others[0].send("modest", return_immediately=True)
        await others[1].send("late", return_immediately=True)
        async with asyncio.timeout(SECONDS):
            first = [await begun.get() for _ in range(5)]
            assert first == [*(f"greedy {number}" for number in range(4)), "modest"]
            # The next place that is free is for the owner who has none, and not for the hundred. It
            # is the only one: turns that end at once are followed by turns that begin at once, and
            # which of those reaches its agent first is for the scheduler to say.
            await greedy.cancel(tasks[0].id)
            assert await begun.get() == "late"
            opened.set()
            then = [await begun.get() for _ in range(96)]
    assert sorted(then) == sorted(f"greedy {number}" for number in range(4, 100))


async def test_turns_that_wait_in_the_database_only_are_begun_as_others_end(
    a2a: ChangeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    a2a(MAX_RUNS=3, SWEEP_SECONDS=600)
    monkeypatch.setattr(line, "MAX_OF_OWNER", 1)
    with gate() as (client, opened, begun):
        for number in range(9):
            await client.send(f"{number}", return_immediately=True)
        opened.set()
        async with asyncio.timeout(SECONDS):
            answered = [await begun.get() for _ in range(9)]
    assert sorted(answered) == [str(number) for number in range(9)]


async def test_a_turn_that_waits_for_another_of_its_owner_is_begun_when_that_is_over(
    a2a: ChangeSettings,
) -> None:
    a2a(RUNNING_TURNS_PER_OWNER=2, SWEEP_SECONDS=600)
    most, both = 0, asyncio.Barrier(2)
    running = models.Run.objects.filter(place__isnull=False, started_at__isnull=False)

    async def agent(turn: Turn) -> None:
        nonlocal most
        await both.wait()
        most = max(most, await database.read(running.count))

    with client_of(agent) as client:
        tasks = await asyncio.gather(*(client.send() for _ in range(6)))
    assert {task.status.state for task in tasks} == {TaskState.COMPLETED}
    assert most == 2


async def test_an_agents_own_numbers_go_before_the_settings(a2a: ChangeSettings) -> None:
    a2a(WAITING_TURNS_PER_TASK=1, WAITING_TURNS_PER_OWNER=1)
    begun, opened = asyncio.Event(), asyncio.Event()

    async def agent(turn: Turn) -> None:
        begun.set()
        await opened.wait()

    with client_of(agent, waiting_turns_per_task=2, waiting_turns_per_owner=3) as client:
        task = await client.send(return_immediately=True)
        await asyncio.wait_for(begun.wait(), SECONDS)
        again: Any = {"task_id": task.id, "context_id": task.context_id}
        for _ in range(2):
            await client.send(new_message(**again), return_immediately=True)
        with pytest.raises(ResourceExhaustedError, match="2 messages of the task") as refused:
            await client.send(new_message(**again), return_immediately=True)
        assert refused.value.limit == "WAITING_TURNS_PER_TASK"
        opened.set()
        await all_ended()


async def test_a_late_job_does_the_turn_of_the_owner_who_comes_next(a2a: ChangeSettings) -> None:
    begun: list[str] = []

    async def agent(turn: Turn) -> None:
        begun.append(turn.text)

    with client_of(agent, slug="queued"):
        worker, owners = Worker(), ["name:many", "name:few"]
        jobs = []
        for number, owner in enumerate([owners[0]] * 3 + [owners[1]]):
            scope = Scope("queued", owner)
            jobs.append((await database.run(begin, f"{owner} {number}", scope=scope)).head.task_id)
        for job in jobs:
            # As if it had been made a while ago.
            await worker.work_on(UUID(int=job.int % (1 << 80)))
        await worker.close()
    assert sorted(begun) == ["name:few 3", *(f"name:many {number}" for number in range(3))]
    assert "name:few 3" in begun[:2]


async def test_each_of_many_late_jobs_at_once_does_a_turn() -> None:
    begun: list[str] = []

    async def agent(turn: Turn) -> None:
        begun.append(turn.text)

    with client_of(agent, slug="queued"):
        worker, jobs = Worker(), []
        for number in range(10):
            head = (await database.run(begin, f"{number}", scope=Scope("queued", "name:a"))).head
            jobs.append(UUID(int=head.task_id.int % (1 << 80)))
        # All of them find the same turn first, and nothing else looks for what is left.
        await asyncio.gather(*(worker.work_on(job) for job in jobs))
        await worker.close()
    assert sorted(begun) == [f"{number}" for number in range(10)]


def test_a_search_goes_through_owners_in_turn_and_on_where_it_has_stopped() -> None:
    owners = sorted((f"name:{number}" for number in range(3)), key=queue_of)
    for owner in owners:
        for _ in range(2):
            begin(scope=Scope(SCOPE.agent, owner))
    after, found = -1, []
    for _ in range(3):
        search = find_waiting(
            agents=[SCOPE.agent], limit=1, room=Shares(9), after=after, in_turn=True
        )
        after = search.after
        found += [turn.owner for turn in search.turns]
    assert found == owners
    full = Shares(5, Counter({owners[0]: 4}))
    room = find_waiting(agents=[SCOPE.agent], limit=5, room=full)
    assert {turn.owner for turn in room.turns} <= set(owners[1:])
    assert len(owners) < LOOKS


def test_a_turn_that_is_not_due_yet_is_not_found() -> None:
    begin()
    models.Run.objects.update(lease_until=timezone.now() + timedelta(hours=1))
    for in_turn in (False, True):
        search = find_waiting(agents=[SCOPE.agent], limit=5, room=Shares(9), in_turn=in_turn)
        assert search.turns == []


def test_a_line_has_so_many_of_one_owner_and_begins_them_in_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(line, "MAX_OF_OWNER", 2)
    waiting, keys = Line(), [uuid4() for _ in range(4)]
    assert [waiting.add(key, "many") for key in keys[:3]] == [True, True, False]
    assert waiting.add(keys[0], "many") and waiting.add(keys[3], "few")
    waiting.remove(keys[0], "many")
    assert list(waiting.in_turn()) == [(keys[3], "few"), (keys[1], "many")]
    waiting.remove(keys[3], "few")
    waiting.remove(keys[1], "many")
    assert not waiting


async def test_a_turn_whose_agent_is_not_there_any_more_ends_as_any_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with gate() as (client, _, begun):
        await client.send("", return_immediately=True)
        async with asyncio.timeout(SECONDS):
            await begun.get()
    await all_ended()
    await runners.current().close()
    assert caplog.records == []


async def test_a_slot_that_was_reserved_and_not_used_goes_to_a_turn_that_waits(
    a2a: ChangeSettings,
) -> None:
    a2a(MAX_RUNS=1, SWEEP_SECONDS=600)

    async def asks(turn: Turn) -> None:
        await turn.complete((await turn.approve("Go on?")).choice)

    with client_of(asks) as client:
        task = await client.send()
        # Its turn is there already, and goes on.
        done = await client.send(answer(task, Part(text="yes")))
    assert done.status.state is TaskState.COMPLETED
