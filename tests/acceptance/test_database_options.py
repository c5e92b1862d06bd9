"""Whatever Django's options for PostgreSQL are, tasks are stored and read the same."""

import pytest

from tests.clients.sockets import SocketClient
from tests.conftest import Serve
from tests.servers import fresh_database
from tests.wire import load_message, message


@pytest.mark.parametrize(
    "options",
    [
        "server_side_binding=false",
        "server_side_binding=true&prepare_threshold=0",
        "pool=true",
    ],
)
async def test_tasks_are_stored_and_read_under_each_option(serve: Serve, options: str) -> None:
    with fresh_database("postgresql") as url:
        server = serve(database_url=f"{url}?{options}")
        async with SocketClient(server.url) as client:
            for _ in range(3):
                # A statement that is run again may be another one to PostgreSQL.
                task = await client.send(load_message(chunks=6))
                assert task["status"]["state"] == "TASK_STATE_COMPLETED"
                read = await client.result("GetTask", id=task["id"])
                assert read == task
                some = await client.result("GetTask", id=task["id"], historyLength=1)
                assert some["history"] == task["history"]
                events = await client.stream("SendStreamingMessage", message=load_message(chunks=6))
                assert len(events) == 9
            listed = await client.result("ListTasks", includeArtifacts=True)
            assert listed["totalSize"] == 6
            assert task in listed["tasks"]
            refused = await client.error("SendMessage", message=message("x", taskId=task["id"]))
            assert refused["code"] == -32004
        server.kill()
