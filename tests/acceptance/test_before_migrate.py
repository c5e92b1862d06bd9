"""A server that starts before `manage.py migrate`: it says so in one line, and needs no restart."""

import asyncio

import httpx
import pytest

from tests.clients.sockets import SocketClient
from tests.conftest import Serve
from tests.servers import Database, empty_database
from tests.templates import migrate
from tests.wire import load_message, state

SECONDS = 60
MISSING = "The database does not answer: "
HINT = "(has `manage.py migrate` been run?)"


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_clients_are_told_to_try_again_until_there_are_tables(
    serve: Serve, kind: Database
) -> None:
    with empty_database(kind) as url:
        server = serve(database_url=url, LEASE_SECONDS=10)
        async with asyncio.timeout(SECONDS), SocketClient(server.url) as client:
            error = await client.error("SendMessage", message=load_message())
            assert (error["code"], error["data"][0]["reason"]) == (-32052, "UNAVAILABLE")
            assert await _ready(client.http, server.url) == (503, "ok", "missing")
            await server.says(HINT)
            migrate(url)
            assert await _ready(client.http, server.url) == (200, "ok", "ok")
            assert state({"task": await client.send(load_message())}) == "COMPLETED"
        said = server.output()
        assert said.count(MISSING) == 1 and "a2a_app_" in said.partition(MISSING)[2]
        assert "Traceback" not in said
        server.kill()


async def _ready(http: httpx.AsyncClient, url: str) -> tuple[int, str, str]:
    response = await http.get(f"{url}/a2a/health/ready")
    states = response.json()
    return response.status_code, states["database"], states["migrations"]
