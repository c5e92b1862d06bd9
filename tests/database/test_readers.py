"""Reads: what only reads does not wait for what writes, nor for another process that writes."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import dj_database_url
import pytest
from django.db import connections
from django.http import StreamingHttpResponse

from a2a_app import database, models
from tests.clients.json_rpc import JsonRpcClient
from tests.outages import nobody_else_writes
from tests.servers import fresh_database
from tests.tasks import begin
from tests.wire import HEADERS, envelope, load_message

# Less than any limit at which a writer gives up.
SECONDS = 5
VERSION = {name.replace("-", "_"): value for name, value in HEADERS.items()}


def write_nothing() -> None:
    models.Task.objects.filter(seq=0).update(seq=0)


async def first_event(rpc: JsonRpcClient, task_id: str) -> str:
    response = await rpc.post(envelope("SubscribeToTask", {"id": task_id}), **VERSION)
    assert isinstance(response, StreamingHttpResponse)
    chunks = aiter(response)
    # A comment may come first, which says that the stream is open.
    while b"data: " not in (chunk := await anext(chunks)):
        pass
    response.close()
    return str(chunk.decode())


async def test_reads_are_answered_while_messages_wait_for_somebody_else_who_writes(
    rpc: JsonRpcClient,
) -> None:
    task = await rpc.task(end="input-required")
    with nobody_else_writes():
        # Before all others, so that it is the first to wait.
        waiting = asyncio.create_task(database.run(write_nothing))
        await asyncio.sleep(0)
        sending = asyncio.create_task(rpc.call("SendMessage", {"message": load_message()}))
        async with asyncio.timeout(SECONDS):
            assert (await rpc.result("GetTask", id=task["id"]))["id"] == task["id"]
            assert (await rpc.result("ListTasks"))["totalSize"] == 1
            assert task["id"] in await first_event(rpc, task["id"])
        assert not waiting.done() and not sending.done()
    await waiting
    assert "result" in await sending


async def test_a_read_sees_what_was_committed_before_it_began(runtime: None) -> None:
    for number in range(20):
        await database.run(begin)
        assert await database.read(models.Task.objects.count) == number + 1


@pytest.fixture
def sqlite(
    runtime: None, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[None]:
    """Have our threads use SQLite: a file with all tables, or what a parameter names."""
    with fresh_database("sqlite") as url:
        configured: Any = dj_database_url.parse(url)
        configured["NAME"] = getattr(request, "param", configured["NAME"])
        configured["OPTIONS"] = {"init_command": "PRAGMA journal_mode=WAL"}
        completed = connections.configure_settings({"default": configured})["default"]
        database.close()
        monkeypatch.setitem(connections.settings, "default", completed)
        yield
        database.close()


async def test_what_reads_on_sqlite_cannot_write(sqlite: None) -> None:
    await database.run(begin)
    assert await database.read(models.Task.objects.count) == 1
    with pytest.raises(database.AwayError, match="readonly"):
        await database.read(write_nothing)
    await database.run(write_nothing)


@pytest.mark.parametrize("sqlite", ["file:readers?mode=memory&cache=shared"], indirect=True)
async def test_a_database_in_memory_has_one_thread_for_all(sqlite: None) -> None:
    assert await database.read(threading.get_ident) == await database.run(threading.get_ident)


async def test_the_readers_of_sqlite_end_with_all_others(sqlite: None) -> None:
    reading = await database.read(threading.current_thread)
    assert reading is not await database.run(threading.current_thread)
    database.close()
    assert not reading.is_alive()
