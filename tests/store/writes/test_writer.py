"""The writer: many events, few transactions, in order."""

import asyncio

import pytest
from pytest_django import Settings

from a2a_app import database, models
from a2a_app.protocol import TaskState
from a2a_app.store.refusals import TaskEndedError, UnknownArtifactError
from a2a_app.store.task_head import read_task_head
from a2a_app.store.updates import Returned
from a2a_app.store.writes.append import append
from a2a_app.store.writes.writer import BATCH, BATCH_CHARACTERS, Writer
from tests.outages import away, logged, lose_patience
from tests.tasks import begin, chunk, claim_of, status

pytestmark = pytest.mark.usefixtures("runtime")

SECONDS = 20


async def new_writer(lost: list[str] | None = None) -> Writer:
    appended = await database.run(begin)
    claim = await database.run(claim_of, appended.head.task_id)
    assert claim is not None
    return Writer(
        claim.head, claim.run, on_loss=lambda: (lost if lost is not None else []).append("lost")
    )


async def numbers() -> list[int]:
    events = models.Event.objects.order_by("seq").values_list("seq", flat=True)
    return await database.run(lambda: list(events))


async def test_a_terminal_status_is_committed_when_the_verb_returns() -> None:
    writer = await new_writer()
    await writer.put(status(TaskState.COMPLETED))
    assert await numbers() == [1, 2]


async def test_a_burst_is_committed_in_few_transactions_and_in_order() -> None:
    writer = await new_writer()
    await writer.put(chunk("0", append=False))
    for number in range(1, 1000):
        await writer.put(chunk(str(number)))
    await writer.put(Returned())
    assert await numbers() == list(range(1, 1003))
    artifact = await database.run(models.Artifact.objects.get)
    assert [part["text"] for part in artifact.parts] == ["".join(map(str, range(1000)))]


async def test_an_agent_that_is_faster_than_the_database_waits_for_it() -> None:
    writer = await new_writer()
    await writer.put(chunk("0", append=False))
    for _ in range(5 * BATCH):
        await writer.put(chunk("x"))
        assert len(writer._waiting) < BATCH
    await writer.flushed()


async def test_an_agent_that_writes_large_texts_waits_sooner() -> None:
    writer = await new_writer()
    await writer.put(chunk("0", append=False))
    for _ in range(8):
        await writer.put(chunk("x" * (BATCH_CHARACTERS // 2)))
        # The first chunk is small; two of the others make the agent wait.
        assert len(writer._waiting) <= 2
    await writer.flushed()
    assert await numbers() == list(range(1, 11))


async def test_a_broken_rule_raises_at_once_in_the_caller() -> None:
    writer = await new_writer()
    with pytest.raises(UnknownArtifactError):
        await writer.put(chunk("x"))
    await writer.put(status(TaskState.WORKING))
    await writer.flushed()
    assert await numbers() == [1, 2]


async def test_a_run_whose_task_was_ended_elsewhere_hears_of_it_once() -> None:
    lost: list[str] = []
    writer = await new_writer(lost)
    head = await database.run(read_task_head, writer.head.task_id)
    await database.run(append, head, [status(TaskState.CANCELED)])
    with pytest.raises(TaskEndedError):
        await writer.put(status(TaskState.COMPLETED))
    with pytest.raises(TaskEndedError):
        await writer.put(chunk("x", append=False))
    assert lost == ["lost"]
    assert await numbers() == [1, 2]


async def test_a_caller_that_is_cancelled_does_not_stop_the_commit() -> None:
    writer = await new_writer()
    putting = asyncio.create_task(writer.put(status(TaskState.COMPLETED)))
    await asyncio.sleep(0)
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    await writer.flushed()
    assert await numbers() == [1, 2]


@pytest.mark.usefixtures("reconnecting")
async def test_a_run_waits_for_a_database_that_is_away_and_writes_each_event_once() -> None:
    writer = await new_writer()
    await database.run(lose_patience)
    with away(), logged("a2a_app.database") as told:
        await writer.put(status(TaskState.WORKING, "on it"), chunk("0", append=False))
        returning = asyncio.create_task(writer.put(Returned()))
        await asyncio.wait_for(told.wait(), SECONDS)
    await asyncio.wait_for(returning, SECONDS)
    assert await numbers() == [1, 2, 3, 4]


@pytest.mark.usefixtures("reconnecting")
async def test_a_database_that_stays_away_for_longer_than_a_lease_ends_the_run(
    settings: Settings,
) -> None:
    settings.A2A = {**settings.A2A, "LEASE_SECONDS": 0.1}
    writer = await new_writer()
    await database.run(lose_patience)
    with away(), pytest.raises(database.AwayError):
        await writer.put(status(TaskState.COMPLETED))
    assert await numbers() == [1]
