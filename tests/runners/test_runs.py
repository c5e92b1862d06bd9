"""Runs in this process: how many at once, cancelling, leases, what a crash leaves (R5, R6, R7)."""

import asyncio
import threading
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.utils import timezone
from pytest_django import Settings

from a2a_app import broadcast, conf, database, models, runners
from a2a_app.agents import Turn
from a2a_app.models.run import Outcome
from a2a_app.protocol import TaskState
from a2a_app.runners.worker import Worker
from a2a_app.store import failures
from a2a_app.store.claims import WorkerSlot
from tests.clients.operations import client_of
from tests.tasks import SCOPE, begin, begin_and_claim, claim_of
from tests.wire import state

pytestmark = pytest.mark.usefixtures("runtime")

SECONDS = 20


@pytest.mark.slow
async def test_however_fast_the_agent_no_event_is_lost_between_storing_and_streaming() -> None:
    async def instant(turn: Turn) -> None:
        return

    with client_of(instant) as client:
        for _ in range(50):
            events = await client.stream()
            assert "task" in events[0] and state(events[-1]) == "COMPLETED"


async def test_the_last_words_of_an_agent_and_its_return_are_one_commit() -> None:
    published: list[dict[str, Any]] = []

    async def agent(turn: Turn) -> None:
        await broadcast.listen(broadcast.task_group(UUID(turn.task_id)), published.append)
        await turn.working()
        await turn.artifact("All there is.")

    with client_of(agent) as client:
        events = await client.stream()
    assert [state(event) for event in events[1:]] == ["WORKING", "", "COMPLETED"]
    assert [len(message["events"]) for message in published] == [3]


async def test_connections_that_an_agents_own_queries_leave_are_closed_when_they_are_old() -> None:
    @sync_to_async
    def is_connected() -> bool:
        return connections[database.alias()].connection is not None

    async def agent(turn: Turn) -> None:
        await models.Task.objects.acount()
        assert await is_connected()

    with client_of(agent) as client:
        assert (await client.send()).status.state is TaskState.COMPLETED
    await runners.current().close()
    assert not await is_connected()


async def test_no_more_turns_run_at_once_than_the_setting_leaves_to_an_owner(
    settings: Settings,
) -> None:
    settings.A2A = {**settings.A2A, "MAX_RUNS": 4}
    running, most = 0, 0
    three_run = asyncio.Barrier(3)

    async def agent(turn: Turn) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await three_run.wait()
        await turn.working()
        await turn.history()
        running -= 1

    with client_of(agent) as client:
        tasks = await asyncio.gather(*(client.send() for _ in range(12)))
    assert {task.status.state for task in tasks} == {TaskState.COMPLETED}
    assert most == 3


async def test_a_slot_is_reserved_and_is_free_again_where_its_turn_is_not_stored() -> None:
    worker = Worker()
    free = worker.free_slots
    with pytest.raises(RuntimeError, match="refused"), worker.reserve_slot("") as worker_slot:
        assert worker_slot == WorkerSlot(worker.name, conf.current().lease_time)
        assert worker.free_slots == free - 1
        raise RuntimeError("refused")
    assert worker.free_slots == free


async def test_a_turn_that_is_stored_while_its_worker_closes_is_left_to_others() -> None:
    worker = Worker()
    with worker.reserve_slot("") as worker_slot:
        appended = await database.run(begin, worker_slot=worker_slot)
        closing = asyncio.create_task(worker.close())
        await asyncio.sleep(0)
        assert worker.is_closing and not closing.done()
        assert appended.claim is not None
        await worker.start_claimed(appended.claim)
    await asyncio.wait_for(closing, SECONDS)
    again = await database.run(claim_of, appended.head.task_id, "two")
    assert again is not None
    assert (again.run, again.attempt) == (appended.claim.run, 1)


async def test_cancelling_stops_the_agents_code_and_ends_its_streams() -> None:
    begun, cleaned_up = asyncio.Event(), asyncio.Event()

    async def agent(turn: Turn) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned_up.set()

    with client_of(agent) as client:
        task = await client.send(return_immediately=True)
        stream = client.subscribe(task.id)
        assert "task" in await anext(stream)
        await asyncio.wait_for(begun.wait(), SECONDS)
        assert (await client.cancel(task.id)).status.state is TaskState.CANCELED
        assert [state(event) async for event in stream] == ["CANCELED"]
        await asyncio.wait_for(cleaned_up.wait(), SECONDS)
        assert (await client.cancel(task.id)).status.state is TaskState.CANCELED
    run = await database.run(models.Run.objects.get)
    assert run.outcome == Outcome.CANCELED


async def test_an_agent_in_a_thread_sees_that_it_was_canceled_and_its_next_write_is_refused() -> (
    None
):
    loop = asyncio.get_running_loop()
    begun, done = asyncio.Event(), asyncio.Event()
    seen: list[str] = []

    def agent(turn: Turn) -> None:
        loop.call_soon_threadsafe(begun.set)
        while not turn.is_canceled:
            pass
        try:
            turn.artifact("too late")
        except Exception as error:
            seen.append(type(error).__name__)
        loop.call_soon_threadsafe(done.set)

    with client_of(agent) as client:
        task = await client.send(return_immediately=True)
        await asyncio.wait_for(begun.wait(), SECONDS)
        await client.cancel(task.id)
        await asyncio.wait_for(done.wait(), SECONDS)
        assert (await client.get(task.id)).artifacts == []
    assert seen == ["RunLostError"]


@pytest.mark.slow
async def test_a_canceled_agents_thread_has_its_slot_until_it_returns(settings: Settings) -> None:
    settings.A2A = {**settings.A2A, "MAX_RUNS": 1}
    loop = asyncio.get_running_loop()
    may_return = threading.Event()
    begun: asyncio.Queue[int] = asyncio.Queue()

    def agent(turn: Turn) -> None:
        loop.call_soon_threadsafe(begun.put_nowait, threading.get_ident())
        may_return.wait(SECONDS)

    with client_of(agent) as client:
        first = await client.send(return_immediately=True)
        await asyncio.wait_for(begun.get(), SECONDS)
        await client.cancel(first.id)
        worker = runners.current().worker
        second = await client.send(return_immediately=True)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(begun.get(), 0.3)
        assert worker.free_slots == 0
        assert (await client.get(second.id)).status.state is TaskState.SUBMITTED
        may_return.set()
        await asyncio.wait_for(begun.get(), SECONDS)


async def test_a_long_traceback_is_cut_in_the_middle_and_says_so() -> None:
    async def agent(turn: Turn) -> None:
        raise RuntimeError("begun " + "x" * 10_000_000 + " ended")

    with client_of(agent) as client:
        await client.send()
    error = (await database.run(models.Run.objects.get)).error
    assert len(error) < 101_000
    assert error.startswith("Traceback") and "RuntimeError: begun" in error
    assert "characters are left out" in error and error.endswith("x ended\n")


@pytest.mark.slow
async def test_an_agent_may_tidy_up_after_it_has_ended_its_task(settings: Settings) -> None:
    settings.A2A = {**settings.A2A, "LEASE_SECONDS": 0.15}
    tidied = asyncio.Event()

    async def agent(turn: Turn) -> None:
        await turn.complete()
        until = asyncio.get_running_loop().time() + 0.5
        while asyncio.get_running_loop().time() < until:
            await turn.task()
        tidied.set()

    with client_of(agent) as client:
        await client.send()
        await asyncio.wait_for(tidied.wait(), SECONDS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        # Longer than a busy machine takes to store what the agent says first.
        ({"time_limit": 1.5}, "The agent took longer than 1.5 seconds."),
        ({"silence_limit": 1.5}, "The agent said nothing for 1.5 seconds."),
    ],
)
@pytest.mark.parametrize("threaded", [False, True])
async def test_an_agent_that_takes_too_long_is_stopped_and_its_task_fails_with_the_reason(
    limits: dict[str, float], reason: str, threaded: bool
) -> None:
    async def in_loop(turn: Turn) -> None:
        await turn.artifact("begun")
        await asyncio.Event().wait()

    def in_thread(turn: Turn) -> None:
        turn.artifact("begun")
        while not turn.is_canceled:
            pass

    with client_of(in_thread if threaded else in_loop, **limits) as client:
        task = await client.send()
    assert task.status.state is TaskState.FAILED
    assert task.status.message is not None and task.status.message.text == reason
    assert len(task.artifacts) == 1


@pytest.mark.slow
async def test_an_agent_that_goes_on_saying_something_is_not_silent() -> None:
    async def agent(turn: Turn) -> None:
        until = asyncio.get_running_loop().time() + 2.5
        while asyncio.get_running_loop().time() < until:
            await turn.working()
            await asyncio.sleep(0.1)

    with client_of(agent, silence_limit=2) as client:
        assert (await client.send()).status.state is TaskState.COMPLETED


@pytest.mark.slow
async def test_a_lease_is_kept_while_an_agent_blocks_the_event_loop(settings: Settings) -> None:
    settings.A2A = {**settings.A2A, "LEASE_SECONDS": 1, "SWEEP_SECONDS": 0.05}

    async def agent(turn: Turn) -> str:
        before = await database.run(models.Run.objects.get)
        until = timezone.now() + timedelta(seconds=1.5)
        while timezone.now() < until:
            pass
        after = await database.run(models.Run.objects.get)
        assert before.lease_until is not None and after.lease_until is not None
        assert after.lease_until > before.lease_until
        return "kept"

    with client_of(agent) as client:
        task = await client.send()
    assert task.status.state is TaskState.COMPLETED


@pytest.mark.parametrize(("attempts", "end"), [(1, "FAILED"), (3, "COMPLETED")])
async def test_a_run_whose_process_is_gone_is_begun_again_or_its_task_failed(
    settings: Settings, attempts: int, end: str
) -> None:
    settings.A2A = {**settings.A2A, "SWEEP_SECONDS": 0.05}

    async def load(turn: Turn) -> str:
        return f"attempt {turn.attempt}"

    lost = await database.run(begin_and_claim, "a process that is gone")
    await database.run(lambda: models.Run.objects.update(lease_until=timezone.now()))
    with client_of(load, attempts=attempts) as client:
        events = await client.see_taken_over(lost.head.task_id)
    assert state(events[-1]) == end
    runs = await database.run(lambda: list(models.Run.objects.order_by("attempt")))
    assert [run.outcome for run in runs] == [Outcome.LOST, Outcome.COMPLETED][: 1 + (attempts > 1)]


async def test_a_turn_that_was_accepted_and_never_begun_is_run(settings: Settings) -> None:
    settings.A2A = {**settings.A2A, "SWEEP_SECONDS": 0.05}

    async def load(turn: Turn) -> None:
        return

    head = (await database.run(begin, scope=SCOPE)).head
    failures.note("\ud800")  # which cannot be stored: no turn is to wait for that
    with client_of(load) as client:
        stream = client.subscribe(str(head.task_id))
        await anext(stream)
        await runners.current().begin()
        assert [state(event) async for event in stream] == ["COMPLETED"]
    with suppress(UnicodeEncodeError):  # if the sweep has not come to it
        await database.run(failures.store)
