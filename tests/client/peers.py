"""Servers for the client: those of others in this process, and connections that are cut."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from hashlib import sha256
from typing import Any

import httpx
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import (
    create_agent_card_routes,
    create_jsonrpc_routes,
    create_rest_routes,
)
from a2a.server.tasks import InMemoryTaskStore
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill
from starlette.applications import Starlette

from benchmarks import fasta2a_server, sdk_server
from tests.listening import listening

BASE = "https://peer.test"
VERSIONS = ("1.0", "0.3")


def sdk_peer() -> httpx.ASGITransport:
    """Serve the load agent by the official SDK: both bindings, both versions."""
    card = AgentCard(
        name="Load",
        description="Does as much work as it is told.",
        version="1.0.0",
        capabilities=AgentCapabilities(streaming=True),
        skills=[AgentSkill(id="load", name="Load", description="Works.", tags=["test"])],
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        supported_interfaces=[
            AgentInterface(url=BASE + path, protocol_binding=binding, protocol_version=version)
            for version in VERSIONS
            for binding, path in (("JSONRPC", "/rpc"), ("HTTP+JSON", "/rest"))
        ],
    )
    handler = DefaultRequestHandler(
        agent_executor=sdk_server.Load(), agent_card=card, task_store=InMemoryTaskStore()
    )
    routes = [
        *create_agent_card_routes(card),
        *create_jsonrpc_routes(handler, "/rpc", enable_v0_3_compat=True),
        *create_rest_routes(handler, enable_v0_3_compat=True, path_prefix="/rest"),
    ]
    return httpx.ASGITransport(app=Starlette(routes=routes))


@asynccontextmanager
async def fasta2a_peer() -> AsyncIterator[httpx.ASGITransport]:
    """Serve the load agent by FastA2A."""
    application = fasta2a_server.application
    async with application.router.lifespan_context(application):
        yield httpx.ASGITransport(app=application)


class CardServer:
    """Serves a card over HTTP, and answers each question about a task; a context manager."""

    def __init__(self, card: dict[str, Any], **headers: str) -> None:
        self.card = card
        """The card, without its interface."""
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        """What comes with it; `ETag` is made of it where that is to be "yes"."""
        self.path = "/rpc"
        """Where its interface is."""
        self.garbles = False
        """Whether it answers what is no answer."""
        self.messages = 0
        """How many messages have come."""
        self.asked: list[str] = []
        """The `If-None-Match` of each request for the card."""
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "CardServer":
        port = await self._stack.enter_async_context(listening(self._serve))
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _serve(self, near: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        head = (await near.readuntil(b"\r\n\r\n")).decode()
        path = head.split()[1]
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:-2])
        body = await near.readexactly(int(fields.get("Content-Length", 0)))
        if path.endswith("agent-card.json"):
            status, headers, said = self._card_for(fields.get("If-None-Match", ""))
        elif path == self.path:
            task = {"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_COMPLETED"}}
            asked = json.loads(body)
            is_message = asked["method"] == "SendMessage"
            self.messages += is_message
            result = {"task": task} if is_message else task
            status, headers = 200, {}
            said = json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result})
            said = "[]" if self.garbles else said
        else:
            status, headers, said = 404, {}, ""
        headers |= {"Content-Length": str(len(said)), "Content-Type": "application/json"}
        lines = [f"HTTP/1.1 {status} OK", *map(": ".join, headers.items()), "Connection: close"]
        answer.write("\r\n".join([*lines, "", said]).encode())
        await answer.drain()

    def _card_for(self, known: str) -> tuple[int, dict[str, str], str]:
        self.asked.append(known)
        url = self.url + self.path
        place = {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
        said = json.dumps({"supportedInterfaces": [place], **self.card})
        headers = dict(self.headers)
        if "ETag" in headers:
            headers["ETag"] = f'"{sha256(said.encode()).hexdigest()}"'
        return (304, headers, "") if known == headers.get("ETag", "?") else (200, headers, said)


class Cutter:
    """Stands before a server, and cuts connections off after so many events; a context manager.

    The connection ends in the middle of the next event.
    """

    def __init__(self, port: int, *, events: int, times: int) -> None:
        self._port, self._events = port, events
        self.left = times
        """How many connections it still cuts."""
        self.cards_asked_for = 0
        """How often the server was asked for a card."""
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "Cutter":
        port = await self._stack.enter_async_context(listening(self._serve))
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _serve(self, near: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        far, ask = await asyncio.open_connection("127.0.0.1", self._port)
        passing = [
            asyncio.create_task(self._pass_questions(near, ask)),
            asyncio.create_task(self._pass_answers(far, answer)),
        ]
        try:
            await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in passing:
                each.cancel()
            await asyncio.gather(*passing, return_exceptions=True)
            for side in (answer, ask):
                side.transport.abort()

    async def _pass_answers(self, far: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        seen = 0
        with suppress(OSError):
            while data := await far.read(65536):
                # Many events may come at once, where the client was away for long.
                for piece in data.splitlines(keepends=True):
                    answer.write(piece)
                    seen += piece.startswith(b"data: ")
                    if self.left and seen > self._events:
                        await answer.drain()
                        self.left -= 1
                        return
                await answer.drain()

    async def _pass_questions(self, near: asyncio.StreamReader, ask: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await near.read(65536):
                self.cards_asked_for += data.count(b"/agent-card.json HTTP/1.1")
                ask.write(data)
                await ask.drain()
