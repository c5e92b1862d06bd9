"""A disk that is full: clients are told to try again, and what is under way goes on afterwards."""

import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.clients.sockets import SocketClient
from tests.conftest import Serve
from tests.servers import Process, fresh_database
from tests.wire import HEADERS, chunk_numbers, load_message, state

SECONDS = 60
RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"}
AWAY, BACK = "The database does not answer", "The database answers again"


@contextmanager
def full(server: Process, file: Path) -> Iterator[None]:
    """Let no file of a process grow beyond the size that this one has, as on a full disk."""
    size = file.stat().st_size
    assert size > 2 * server.log.stat().st_size, "its log must have room"
    kind = resource.RLIMIT_FSIZE
    before = resource.prlimit(server.pid, kind, (size, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(server.pid, kind, before)


async def test_clients_are_told_to_try_again_and_runs_go_on_when_there_is_room(
    serve: Serve,
) -> None:
    with fresh_database("sqlite") as url:
        server = serve(database_url=url, LEASE_SECONDS=10)
        log = Path(f"{url.removeprefix('sqlite:///')}-wal")
        async with asyncio.timeout(SECONDS), SocketClient(server.url) as client:
            message = load_message(chunks=30, delay=0.05)
            sending = asyncio.create_task(client.send(message))
            for _ in range(5):
                known = await client.send(load_message(chunks=20))
            with full(server, log):
                await server.says(AWAY)
                response = await client.http.post(
                    f"{server.url}/a2a/load/message:send",
                    json={"message": load_message()},
                    headers={**HEADERS, "Content-Type": "application/a2a+json"},
                )
                _check_is_unavailable(response)
                error = await client.error("SendMessage", message=load_message())
                assert (error["code"], error["data"][1]) == (-32052, RETRY_INFO)
                assert (await client.result("GetTask", id=known["id"])) == known
            task = await sending
            assert state({"task": task}) == "COMPLETED"
            assert chunk_numbers(task["artifacts"][0]) == list(range(30))
            await client.send(load_message())
            await server.says(BACK)
            assert (await client.result("ListTasks"))["totalSize"] == 7
        # A write that had begun before may be over only then, as if all were well for a moment.
        assert 1 <= server.output().count(AWAY) == server.output().count(BACK) <= 2
        server.kill()


def _check_is_unavailable(response: httpx.Response) -> None:
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    error = response.json()["error"]
    assert (error["code"], error["status"]) == (503, "UNAVAILABLE")
    info, retry = error["details"]
    assert (info["reason"], retry) == ("UNAVAILABLE", RETRY_INFO)
