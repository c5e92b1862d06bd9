"""Work that was begun for a client that has left is finished, and all hear of it (R5, R6)."""

import asyncio
import threading

import pytest
from django.db.backends.signals import connection_created
from pytest_django import Settings

from a2a_app import database, models
from a2a_app.agents import Turn
from tests.clients.operations import client_of
from tests.gate import Gate
from tests.wire import state

pytestmark = pytest.mark.usefixtures("runtime")

SECONDS = 20


async def test_a_client_that_leaves_does_not_stop_its_task() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def agent(turn: Turn) -> None:
        begun.set()
        await go_on.wait()

    with client_of(agent) as client:
        sending = asyncio.create_task(client.send())
        await asyncio.wait_for(begun.wait(), SECONDS)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        task_id = str((await database.run(models.Task.objects.get)).pk)
        stream = client.subscribe(task_id)
        await anext(stream)
        go_on.set()
        assert [state(event) async for event in stream] == ["COMPLETED"]


async def test_a_client_that_leaves_while_its_message_is_stored_has_sent_it(
    new_connections: None,
) -> None:
    storing, go_on, begun = threading.Event(), threading.Event(), asyncio.Event()

    async def agent(turn: Turn) -> None:
        begun.set()

    def wait(**_: object) -> None:
        storing.set()
        go_on.wait(SECONDS)

    with client_of(agent) as client:
        # To store the message is the first work for the database, and begins a connection.
        connection_created.connect(wait)
        try:
            sending = asyncio.create_task(client.send())
            assert await asyncio.to_thread(storing.wait, SECONDS)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
        finally:
            connection_created.disconnect(wait)
            go_on.set()
        await asyncio.wait_for(begun.wait(), SECONDS)


async def test_a_client_that_leaves_while_its_cancel_is_written_has_canceled(
    settings: Settings,
) -> None:
    settings.A2A = {
        **settings.A2A,
        "POLL_SECONDS": 600,
        "LEASE_SECONDS": 600,
        "DATABASE_THREADS": 1,
    }
    begun, stopped, gate = asyncio.Event(), asyncio.Event(), Gate()

    async def agent(turn: Turn) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    with client_of(agent) as client:
        task = await client.send(return_immediately=True)
        await asyncio.wait_for(begun.wait(), SECONDS)
        stream = client.subscribe(task.id)
        await anext(stream)
        await gate.put()
        canceling = asyncio.create_task(client.cancel(task.id))
        assert await asyncio.to_thread(gate.reached.wait, SECONDS)
        canceling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await canceling
        gate.open.set()
        assert [state(event) async for event in stream] == ["CANCELED"]
        await asyncio.wait_for(stopped.wait(), SECONDS)
