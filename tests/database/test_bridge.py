"""The bridge to the database: what an outage costs, and what is logged."""

import asyncio

import pytest

from a2a_app import database, models
from tests.outages import away, lose_patience


@pytest.mark.usefixtures("runtime", "reconnecting")
async def test_an_outage_is_logged_once_and_costs_each_process_one_unit_of_work(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Side by side, so that each of the threads has a connection.
    await asyncio.gather(*[database.run(models.Task.objects.count) for _ in range(50)])
    await database.run(lose_patience)
    with away():
        for _ in range(3):
            with pytest.raises(database.AwayError):
                await database.run(write_nothing)
    await asyncio.gather(*[database.run(write_nothing) for _ in range(50)])
    [begun, ended] = [record.getMessage() for record in caplog.records]
    assert begun.startswith("The database does not answer: ")
    assert ended == "The database answers again."


def write_nothing() -> None:
    models.Task.objects.filter(seq=0).update(seq=0)
