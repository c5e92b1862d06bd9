"""A message under one key, at the same instant in two processes: one task (section 3.3.1)."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.clients.sockets import SocketClient
from tests.conftest import Serve
from tests.servers import Database, fresh_database
from tests.wire import load_message, message

SECONDS = 60
RACES = 25
MESSAGES = 4


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_one_key_in_two_processes_at_once_makes_one_task(
    serve: Serve, database: Database
) -> None:
    with fresh_database(database) as url:
        servers = [serve(database_url=url) for _ in range(2)]
        async with asyncio.timeout(SECONDS), AsyncExitStack() as stack:
            for number in range(RACES):
                clients = [
                    await stack.enter_async_context(
                        SocketClient(server.url, **{"Idempotency-Key": f"key {number}"})
                    )
                    for server in servers
                ]
                said = load_message(chunks=2)
                answers = await asyncio.gather(
                    *[client.send(said) for client in clients * (MESSAGES // 2)]
                )
                [task] = {task["id"] for task in answers}
                streams = [
                    await client.stream("SendStreamingMessage", message=said) for client in clients
                ]
                assert {events[0][1]["task"]["id"] for events in streams} == {task}
                assert {len(events) for events in streams} == {1}
            plain = await stack.enter_async_context(SocketClient(servers[0].url))
            listed = await plain.result("ListTasks", pageSize=100)
            assert listed["totalSize"] == RACES
            refused = await clients[0].error("SendMessage", message=message("other"))
            assert refused["code"] == -32602
        for server in servers:
            server.kill()
