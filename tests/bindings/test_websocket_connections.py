"""Connections of the WebSocket binding: who has one, what it holds, and how it ends."""

import asyncio
import gc
import json
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest

from a2a_app import access, database, protocol
from a2a_app.access import announce_change
from a2a_app.agents import AgentSkill, Turn, registry
from a2a_app.agents.registry import make_agent
from a2a_app.authentication import CallerName
from a2a_app.bindings import threads
from a2a_app.bindings.websocket import connection
from a2a_app.operations import Call
from a2a_app.testing import agent_for_test
from tests.bindings import test_websocket
from tests.bindings.test_websocket import code_of
from tests.clients.json_rpc import JsonRpcClient
from tests.clients.web_socket import WebSocketClient
from tests.conftest import ChangeSettings
from tests.wire import load_message

SECONDS = 20


@pytest.fixture(autouse=True)
def switched_on(a2a: ChangeSettings, rpc: JsonRpcClient) -> None:
    a2a(WEBSOCKET=True)
    test_websocket.KNOWN.add("ann")


async def test_a_user_who_logs_out_is_known_no_longer(a2a: ChangeSettings) -> None:
    a2a(AUTHENTICATION=[f"{test_websocket.__name__}.by_user"], ANONYMOUS="refuse")
    user = await database.run(lambda: User.objects.create_user("ann"))
    session = await database.run(session_of, user)
    # As Channels' AuthMiddlewareStack has them.
    async with WebSocketClient(scope={"user": user, "session": session}) as client:
        assert await client.result("ListTasks") is not None
        await database.run(session.flush)
        assert code_of(await client.call("ListTasks")) == -32050


async def test_frames_that_are_no_calls_are_counted_and_end_with_the_access_of_their_caller(
    a2a: ChangeSettings, one_minute: None
) -> None:
    a2a(
        AUTHENTICATION=[f"{test_websocket.__name__}.by_name"],
        ANONYMOUS="refuse",
        REQUESTS_PER_MINUTE=1000,
    )
    test_websocket.KNOWN.add("ann")
    async with WebSocketClient(x_name="ann") as client:
        await client.send("{")
        assert code_of(await client.receive()) == -32700
        a2a(REQUESTS_PER_MINUTE=1)
        await client.send("{")
        assert code_of(await client.receive()) == -32053
        a2a(REQUESTS_PER_MINUTE=0)
        test_websocket.KNOWN.discard("ann")
        await client.send("{")
        assert code_of(await client.receive()) == -32050
        assert await client.next_message() == {"type": "websocket.close", "code": 1008}
    test_websocket.KNOWN.add("ann")


@pytest.mark.slow
async def test_an_idle_connection_ends_once_its_caller_is_nobody_any_more(
    a2a: ChangeSettings,
) -> None:
    a2a(AUTHENTICATION=[f"{test_websocket.__name__}.by_name"], ANONYMOUS="refuse")
    async with WebSocketClient(x_name="ann") as client:
        await database.run(announce_change)
        assert await client.result("ListTasks") is not None
        test_websocket.KNOWN.discard("ann")
        await database.run(announce_change)
        assert await client.next_message() == {"type": "websocket.close", "code": 1008}


@pytest.mark.slow
async def test_an_idle_connection_ends_once_its_agent_is_hidden_from_its_caller(
    a2a: ChangeSettings,
) -> None:
    a2a(
        AUTHENTICATION=[f"{test_websocket.__name__}.by_name"],
        ANONYMOUS="refuse",
        ACCESS_SECONDS=0.1,
    )
    invited = {"ann"}

    async def secret(turn: Turn) -> None: ...

    agent = make_agent(
        secret, hidden=True, permission=lambda caller, operation: str(caller) in invited
    )
    with registry.registered(agent):
        async with WebSocketClient("secret", x_name="ann") as client:
            assert await client.result("ListTasks") is not None
            invited.clear()
            # Nobody tells of it.
            assert await client.next_message() == {"type": "websocket.close", "code": 1008}
        async with WebSocketClient("secret", x_name="ann") as client:
            assert not client.is_accepted


@pytest.mark.slow
async def test_to_ask_again_who_has_a_connection_costs_its_caller_no_requests(
    a2a: ChangeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "PAUSE_SECONDS", 0.01)
    ASKED.clear()
    a2a(
        AUTHENTICATION=[f"{__name__}.by_name_and_noted"],
        ANONYMOUS="refuse",
        REQUESTS_PER_MINUTE=5,
        ACCESS_SECONDS=0.01,
    )
    async with WebSocketClient(x_name="ann") as client:
        async with asyncio.timeout(SECONDS):
            while len(ASKED) < 20:  # noqa: ASYNC110  # what is looked at tells nobody
                await asyncio.sleep(0.01)
        assert await client.result("ListTasks") is not None


ASKED: list[str] = []


def by_name_and_noted(request: HttpRequest) -> CallerName | None:
    """Know a caller by its name, and note that somebody asks."""
    ASKED.append("")
    return test_websocket.by_name(request)


def session_of(user: User) -> SessionStore:
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return session


def held(kind: type) -> list[object]:
    """Return the objects of a class that something refers to."""
    gc.collect()
    return [each for each in gc.get_objects() if type(each) is kind]


@pytest.mark.parametrize(
    "asked",
    [{"headers": [(b"content-type", b"a/b; charset*=BOGUS''x")]}, {"query_string": b"\xff"}],
    ids=["charset", "query"],
)
async def test_a_handshake_of_which_django_makes_no_request_is_refused(asked: Any) -> None:
    async with WebSocketClient(scope=asked) as client:
        assert client.opened == {"type": "websocket.close"}


async def test_handshakes_at_the_same_moment_count_each_other(a2a: ChangeSettings) -> None:
    a2a(STREAMS_PER_OWNER=2)
    async with AsyncExitStack() as opened:
        clients = [WebSocketClient() for _ in range(6)]
        await asyncio.gather(*map(opened.enter_async_context, clients))
        assert [client.is_accepted for client in clients].count(True) == 2


@pytest.mark.slow
async def test_an_open_stream_has_neither_a_thread_nor_its_frame() -> None:
    async with WebSocketClient() as client:
        await client.ask(1, "SendStreamingMessage", message=load_message(end="hang"))
        await client.receive()
        async with asyncio.timeout(SECONDS):
            while threads._lent or held(protocol.SendMessageRequest) or held(Call):  # noqa: ASYNC110  # what is looked at tells nobody
                await asyncio.sleep(0.01)


@pytest.mark.slow
async def test_a_client_that_asks_and_does_not_read_gets_no_more_and_more_answers(
    a2a: ChangeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    a2a(READER_SECONDS=0.3)
    monkeypatch.setattr(connection, "MOST_OPEN", 2)
    asked = 0

    async def receive() -> dict[str, Any]:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.001)  # as a network does
        frame = {"jsonrpc": "2.0", "id": asked, "method": "ListTasks"}
        return {"type": "websocket.receive", "text": json.dumps(frame)}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "websocket.send":
            await asyncio.Event().wait()

    scope = {"type": "websocket", "path": "/a2a/load/", "query_string": b"", "headers": []}
    async with asyncio.timeout(SECONDS):
        with suppress(asyncio.CancelledError, ConnectionAbortedError):
            await connection.serve(scope, receive, send)
    assert asked <= 8


async def test_a_call_that_is_given_up_in_the_same_moment_ends_and_its_id_is_free() -> None:
    async with WebSocketClient() as client:
        # Both frames are there before either is taken.
        await client.ask("one", "SendStreamingMessage", message=load_message(end="hang"))
        await client.send({"jsonrpc": "2.0", "method": "cancelStream", "params": {"id": "one"}})
        assert await client.receive() == {"jsonrpc": "2.0", "id": "one", "streamEnd": True}
        assert await client.result("ListTasks") is not None


async def nothing(turn: Turn) -> None: ...


async def test_a_caller_whom_nobody_knows_keeps_its_connection_where_it_asks_too_much() -> None:
    more = AgentSkill(id="more", name="More", description="Not for all.", tags=["more"])
    with agent_for_test(nothing, slug="more", extended_skills=[more]):
        async with WebSocketClient("more") as client:
            assert code_of(await client.call("GetExtendedAgentCard")) == -32050
            assert await client.result("ListTasks") is not None


async def test_nothing_follows_the_end_of_a_connection() -> None:
    async with WebSocketClient() as client:
        await client.ask(1, "SendStreamingMessage", message=load_message(end="hang"))
        await client.receive()
        for frame in (b"{}", b"{}", "{"):
            await client.send(frame)
    sent = []
    while not client._ends.output_queue.empty():
        sent.append((await client.next_message())["type"])
    assert sent[-1] == "websocket.close" and sent.count("websocket.close") == 1
