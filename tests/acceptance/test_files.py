"""Files over real sockets: the official client, both bindings, both databases, several servers."""

import asyncio
import os
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha256
from urllib.parse import urlsplit

import httpx
import pytest
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.client.auth import AuthInterceptor
from a2a.types import a2a_pb2 as pb

from tests import wire
from tests.acceptance.test_idle_streams import usage_of
from tests.acceptance.test_known_caller import Keys
from tests.clients.sdk import SECONDS, SdkClient, data_of, new_message, plain_http
from tests.clients.sockets import SocketClient
from tests.cluster import Cluster, Queue
from tests.conftest import Serve
from tests.servers import Database, Process, folder, fresh_database, managed
from tests.wire import envelope

CONTENT = bytes(range(256)) * 8 * 1024  # 2 MiB
KEYS = {"ANONYMOUS": "refuse", "AUTHENTICATION": ["a2a_app.authentication.ApiKeyAuth"]}
ISSUE = """
from django.contrib.auth.models import User
from a2a_app.models import ApiKey
for name in ("ann", "bob"):
    row = ApiKey(user=User.objects.create(username=name), name="test")
    print(row.issue())
    row.save()
"""
NAMES = """
from a2a_app.models import File
print(*File.objects.values_list("name", flat=True))
"""
DELETE = """
from a2a_app.models import Task
Task.objects.all().delete()
"""


def shell(server: Process, code: str) -> list[str]:
    """Run code where the server has its database; return the words that it prints last."""
    return managed(server.env, "shell", "--verbosity", "0", "-c", code).split()


@asynccontextmanager
async def client_with(key: str, url: str, binding: str) -> AsyncIterator[SdkClient]:
    """Make the SDK's client of the courier, with a key and without streaming."""
    async with plain_http() as http:
        card = await A2ACardResolver(http, f"{url}/a2a/courier").get_agent_card()
        config = ClientConfig(
            httpx_client=http, supported_protocol_bindings=[binding], streaming=False
        )
        sdk = ClientFactory(config).create(card, [AuthInterceptor(Keys(key))])
        yield SdkClient(sdk, http, card)


def links_of(task: pb.Task) -> list[str]:
    parts = [*task.history[0].parts, *task.artifacts[1].parts]
    assert [part.filename for part in parts] == ["two.bin"] * 2
    assert not any(part.raw for part in parts)
    return [part.url for part in parts]


async def get(http: httpx.AsyncClient, link: str, key: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"}
    return await http.get(link, headers=headers)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_the_official_client_gets_links_that_are_its_own_for_a_while(
    serve: Serve, database: Database
) -> None:
    with fresh_database(database) as database_url:
        server = serve(database_url=database_url, **KEYS)
        # Another server, for which every link is too old.
        later = serve(database_url=database_url, LINK_SECONDS=1e-9, **KEYS)
        ann, bob = shell(server, ISSUE)
        for binding in ("JSONRPC", "HTTP+JSON"):
            async with client_with(ann, server.url, binding) as client:
                part = pb.Part(raw=CONTENT, filename="two.bin", media_type="application/x-two")
                task = await client.send(new_message(part))
                assert task.status.state == pb.TASK_STATE_COMPLETED, task.status
                digest = {"size": len(CONTENT), "sha256": sha256(CONTENT).hexdigest()}
                assert data_of(task.artifacts[0]) == digest
                for link in links_of(await client.get(task.id)):
                    given = await get(client.http, link, ann)
                    assert given.status_code == 200
                    assert given.content == CONTENT
                    assert given.headers["content-type"] == "application/x-two"
                    assert (await get(client.http, link, bob)).status_code == 404
                    assert (await client.http.get(link)).status_code == 401
                    # Any server has the file, whichever stored it.
                    elsewhere = link.replace(server.url, later.url)
                    assert (await get(client.http, elsewhere, ann)).status_code == 403
        paths = [folder() / "files" / name for name in shell(server, NAMES)]
        assert [path.read_bytes() for path in paths] == [CONTENT, CONTENT]
        shell(server, DELETE)
        assert not any(path.exists() for path in paths)
        async with plain_http() as http:
            assert (await get(http, link, ann)).status_code == 404
        server.kill()
        later.kill()


async def test_a_client_of_0_3_gets_links_over_a_real_socket(serve: Serve) -> None:
    server = serve()
    async with httpx.AsyncClient(timeout=SECONDS) as http:
        made = {"kind": "text", "text": '{"size": 2000000, "fill": 7}'}
        params = {"message": {"messageId": "1", "role": "user", "parts": [made]}}
        answer = await http.post(
            f"{server.url}/a2a/courier/", json=envelope("message/send", params)
        )
        [part] = answer.json()["result"]["artifacts"][0]["parts"]
        assert part["kind"] == "file"
        given = await http.get(part["file"]["uri"])
    assert given.content == bytes([7]) * 2_000_000


@pytest.mark.parametrize("queue", ["procrastinate", "tasks"])
async def test_a_worker_reads_what_a_server_stored_and_every_server_gives_what_it_made(
    database_url: str, queue: Queue
) -> None:
    with Cluster(database_url=database_url, queue=queue) as site:
        (one, other), _ = site.start(servers=2, workers=1)
        async with asyncio.timeout(SECONDS), SocketClient(one.url, "courier") as client:
            raw = {"raw": b64encode(CONTENT).decode(), "filename": "two.bin"}
            made = {"text": '{"size": 100000, "fill": 7}'}
            task = await client.send(wire.message(parts=[raw, made]))
            seen, passed_on, given = [artifact["parts"][0] for artifact in task["artifacts"]]
            assert seen["data"]["sha256"] == sha256(CONTENT).hexdigest()
            for part, content in ((passed_on, CONTENT), (given, bytes([7]) * 100_000)):
                link = part["url"].replace(one.url, other.url)
                assert (await client.http.get(link)).content == content


async def test_downloads_that_nobody_reads_take_no_thread_no_connection_and_little_memory(
    serve: Serve,
) -> None:
    few, many, size = 10, 50, 20_000_000
    with fresh_database("sqlite") as url:
        # Daphne would take all of each into its memory, however slow its client is.
        server = serve(server="uvicorn", database_url=url)
        async with SocketClient(server.url, "courier") as client:
            task = await client.send(f'{{"size": {size}, "fill": 7}}')
        link = task["artifacts"][0]["parts"][0]["url"]
        async with asyncio.timeout(SECONDS), AsyncExitStack() as stack:
            await asyncio.gather(*[download(link, stack) for _ in range(few)])
            before = usage_of(server, url)
            await asyncio.gather(*[download(link, stack) for _ in range(many - few)])
            after = usage_of(server, url)
    # Those of asyncio's own pool, which all share.
    assert after.threads - before.threads <= (os.cpu_count() or 1) + 4
    # The database's threads have one each, and there are fewer than downloads.
    assert after.connections < few
    assert after.memory - before.memory < (many - few) * size / 20


async def download(link: str, stack: AsyncExitStack) -> None:
    """Begin a download on a bare socket, and read only the first of it."""
    parts = urlsplit(link)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    stack.callback(writer.close)
    writer.write(f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200"), answer
    assert b"\r\ncontent-length: 20000000\r\n" in answer.lower()
    await reader.readexactly(100_000)
