"""Agents elsewhere whose authors mean harm: what their cards and answers cost, and whom."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from a2a_app.client import RemoteAgent, RemoteAgentError, UnreachableError
from a2a_app.client.http import ANSWER_BYTES, PAGE_BYTES
from a2a_app.client.sdk import Place, SdkConnection
from a2a_app.client.visits import visit_all
from a2a_app.models import DirectoryEntry
from tests.conftest import ChangeSettings
from tests.listening import listening

pytestmark = pytest.mark.usefixtures("runtime")

INTERFACE = {"url": "/a2a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
CARD: dict[str, Any] = {
    "name": "Harbour",
    "description": "Knows ships.",
    "version": "1",
    "supportedInterfaces": [INTERFACE],
    "capabilities": {"streaming": True},
    "defaultInputModes": ["text/plain"],
    "defaultOutputModes": ["text/plain"],
    "skills": [{"id": "a", "name": "A", "description": "a", "tags": ["a"]}],
}
# So much is on the way when a client stops to read.
ON_THE_WAY = 16 * 1024 * 1024
SECONDS = 30
MANY = "more than 1000 values"


def card(more: str = "", **changes: Any) -> bytes:
    return json.dumps({**CARD, **changes})[:-1].encode() + more.encode() + b"}"


def leading_to(url: str) -> bytes:
    return card(supportedInterfaces=[{**INTERFACE, "url": url}])


def with_params(values: str) -> bytes:
    return card(f', "capabilities": {{"extensions": [{{"uri": "a:b", "params": {values}}}]}}')


SIGNATURE = {"protected": "e30", "signature": "AA"}
HOSTILE = {
    "nested deeply": b"[" * 9_000 + b"]" * 9_000,
    "nested deeply inside": card(', "deep": ' + "[" * 9_000 + "]" * 9_000),
    "very many values": card(skills=[{}] * 50_000),
    "very large": card(description="a" * PAGE_BYTES),
    "a number that is none": with_params('{"a": NaN}'),
    "a number too long": card(', "version": ' + "9" * 10_000),
    "half a character": card(', "name": "\\ud800"'),
    "NUL": card(name="a\0b"),
    "no UTF-8": b'{"name": "\xff"}',
    "no skills": card(skills=["a"]),
    "no schemes": card(securitySchemes={"a": {"type": ["b"]}}),
    "no interfaces": card(supportedInterfaces={"a": "b"}),
    "no interfaces of 0.3": b'{"name": "a", "url": ["b"], "additionalInterfaces": [7]}',
    "no host": leading_to("http://[::1"),
    "a script": leading_to("javascript:alert(1)"),
    "a file": leading_to("file:///etc/passwd"),
    "a URL too long": leading_to("http://a/" + "b" * 70_000),
    "no signatures": card(signatures=[{"protected": 1, "signature": {}}]),
    "very many signatures": card(signatures=[SIGNATURE] * 1_000),
}


class Hostile:
    """A server that has a body for each path, or writes for ever."""

    def __init__(self, body: bytes, headers: str = "") -> None:
        self.answers: dict[str, tuple[bytes, bytes, str]] = {}
        """By the path of a request: how its answer begins and goes on for ever, and its headers."""
        self.body, self.headers = body, headers
        self.status = "200 X"
        """The status of what is among `answers`."""
        self.written = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split()[1].decode()
        begin, rest, headers = self.answers.get(path, (self.body, b"", self.headers))
        status = self.status if path in self.answers else "200 X"
        kind = "" if "Content-Type" in headers else "Content-Type: application/json\r\n"
        writer.write(f"HTTP/1.1 {status}\r\n{kind}{headers}Connection: close\r\n\r\n".encode())
        writer.write(begin)
        while rest:
            writer.write(rest)
            self.written += len(rest)
            await writer.drain()
            await asyncio.sleep(0)
        await writer.drain()


@asynccontextmanager
async def served(there: Hostile) -> AsyncIterator[str]:
    async with listening(there.serve) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(autouse=True)
def _open_to_loopback(a2a: ChangeSettings) -> None:
    a2a(PUSH_HOSTS=["127.0.0.1"], PUSH_ALLOW_HTTP=True)


@sync_to_async
def register(name: str, url: str) -> None:
    DirectoryEntry.objects.create(name=name, url=url)


@sync_to_async
def entry(name: str) -> DirectoryEntry:
    return DirectoryEntry.objects.get(name=name)


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
async def test_a_card_that_is_none_is_noted_at_its_entry_and_keeps_nobody_from_the_others(
    body: bytes,
) -> None:
    async with served(Hostile(body)) as url, served(Hostile(card())) as good:
        await register("hostile", url)
        await register("harbour", good)
        wrong = await visit_all(["hostile", "harbour"])
    assert list(wrong) == ["hostile"]
    found = await entry("hostile")
    assert found.failing_since and found.error == wrong["hostile"][:500]
    assert found.card is None
    assert (await entry("harbour")).card


@pytest.mark.slow
async def test_a_card_that_is_packed_is_not_unpacked() -> None:
    packed = gzip.compress(card() + b" " * 50_000_000)
    async with served(Hostile(packed, "Content-Encoding: gzip\r\n")) as url:
        await register("hostile", url)
        wrong = await visit_all(["hostile"])
    assert "packed by 'gzip'" in wrong["hostile"]


async def test_of_a_card_without_an_end_little_is_read() -> None:
    there = Hostile(b"")
    there.answers = {"/card.json": (b"{", b" " * 65536, "")}
    async with asyncio.timeout(SECONDS), served(there) as url:
        await register("hostile", f"{url}/card.json")
        wrong = await visit_all(["hostile"])
    assert f"more than {PAGE_BYTES} bytes" in wrong["hostile"]
    assert there.written < PAGE_BYTES + ON_THE_WAY


@pytest.mark.slow
async def test_a_card_that_comes_byte_by_byte_is_not_waited_for() -> None:
    there = Hostile(b"")
    there.answers = {"/card.json": (b"{", b" ", "Content-Type: text/event-stream\r\n")}
    async with asyncio.timeout(SECONDS), served(there) as url:
        with pytest.raises(UnreachableError, match="TimeoutError"):
            async with SdkConnection(Place(url=f"{url}/card.json", seconds=0.2)):
                pass


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "begin", "rest"),
    [
        ("application/json", b'{"result": "', b"a" * 65536),
        ("text/event-stream", b"data: ", b"a" * 65536),
        ("text/event-stream", b"", b"data: " + b"a" * 65530 + b"\n"),
        ("text/plain", b"", b"\n" * 65536),
    ],
)
async def test_of_an_answer_without_an_end_no_more_is_read_than_of_any_other(
    kind: str, begin: bytes, rest: bytes
) -> None:
    there = Hostile(card())
    there.answers = {"/a2a": (begin, rest, f"Content-Type: {kind}\r\n")}
    async with asyncio.timeout(SECONDS), served(there) as url, RemoteAgent(url) as agent:
        with pytest.raises(RemoteAgentError, match=f"more than {ANSWER_BYTES} bytes"):
            await agent.send("hello")
    assert there.written < ANSWER_BYTES + ON_THE_WAY


@pytest.mark.slow
@pytest.mark.parametrize(("method", "status"), [("get", "200 X"), ("stream", "500 X")])
async def test_a_stream_where_none_is_wanted_is_read_as_any_other_answer(
    method: str, status: str
) -> None:
    there = Hostile(card())
    there.status = status
    kind = "Content-Type: text/event-stream\r\n"
    there.answers = {"/a2a": (b"", b"data: 1\n\n" * 10_000, kind)}
    async with asyncio.timeout(SECONDS), served(there) as url, RemoteAgent(url) as agent:
        with pytest.raises(RemoteAgentError, match=f"more than {ANSWER_BYTES} bytes"):
            await (agent.get("t") if method == "get" else anext(agent.stream("hello")))
    assert there.written < ANSWER_BYTES + ON_THE_WAY


@pytest.mark.parametrize(
    ("kind", "before", "between", "after"),
    [
        ("application/json", "", ", ", ""),
        ("text/html", "", ", ", ""),
        ("text/html", "\n", ",\n", "\n"),
        ("text/event-stream", "data: ", ", ", "\n\n"),
        ("text/event-stream", "data: ", ",\ndata: ", "\n\n"),
    ],
)
async def test_of_an_answer_or_an_event_with_too_many_values_none_is_made_an_object(
    a2a: ChangeSettings, kind: str, before: str, between: str, after: str
) -> None:
    a2a(MAX_JSON_VALUES=1_000)
    status = {"state": "TASK_STATE_COMPLETED"}
    there = Hostile(card())
    async with served(there) as url, RemoteAgent(url) as agent:
        for count in (10, 2_000):
            task = {"id": "t", "contextId": "c", "status": status, "metadata": {"a": [1] * count}}
            said = {"jsonrpc": "2.0", "id": "1", "result": {"task": task}}
            body = before + json.dumps(said).replace(", ", between) + after
            there.answers = {"/a2a": (body.encode(), b"", f"Content-Type: {kind}\r\n")}
            is_few = nullcontext() if count == 10 else pytest.raises(RemoteAgentError, match=MANY)
            with is_few:
                states = [event.state async for event in agent.stream("hello")]
                assert states == [status["state"]]


@pytest.mark.slow
async def test_a_stream_may_have_more_than_an_answer_if_no_event_has() -> None:
    there = Hostile(card())
    event = {"statusUpdate": {"taskId": "t", "contextId": "c", "status": {}}}
    event["statusUpdate"]["status"] = {"state": "TASK_STATE_WORKING"}
    event["statusUpdate"]["metadata"] = {"a": "b" * 4_000_000}
    framed = {"jsonrpc": "2.0", "id": "1", "result": event}
    rest = f": alive\n\ndata: {json.dumps(framed)}\n\n".encode()
    there.answers = {"/a2a": (b"", rest, "Content-Type: text/event-stream\r\n")}
    count = 0
    async with asyncio.timeout(SECONDS), served(there) as url, RemoteAgent(url) as agent:
        async for _ in agent.stream("hello"):
            count += 1
            if count > ANSWER_BYTES / 4_000_000 + 1:
                break
