"""The WebSocket binding: many calls over one connection (docs/websocket.md)."""

import asyncio
import json
from collections import defaultdict
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest

from a2a_app import conf, database
from a2a_app.access import announce_change
from a2a_app.agents import Turn
from a2a_app.agents.extensions import LIVE
from a2a_app.authentication import CallerName
from a2a_app.bindings.interfaces import WEBSOCKET
from a2a_app.bindings.websocket import connection
from a2a_app.testing import agent_for_test
from tests.clients.http_json import HttpJsonClient, json_of
from tests.clients.json_rpc import JsonRpcClient
from tests.clients.web_socket import WebSocketClient
from tests.conftest import ChangeSettings
from tests.wire import WEBHOOK, load_message, message, state, text

SECONDS = 20
KNOWN = {"ann"}


@pytest.fixture(autouse=True)
def switched_on(a2a: ChangeSettings, rpc: JsonRpcClient) -> None:
    a2a(WEBSOCKET=True)
    KNOWN.add("ann")


def by_name(request: HttpRequest) -> CallerName | None:
    """Know whoever is known at the moment."""
    name = request.headers.get("X-Name", "")
    return CallerName(name) if name in KNOWN else None


def by_user(request: HttpRequest) -> User | None:
    """Know the user that something before has found."""
    return request.user if request.user.is_authenticated else None


def code_of(frame: dict[str, Any]) -> int:
    code: int = frame["error"]["code"]
    return code


async def test_all_operations_do_over_a_websocket_what_they_do_over_json_rpc(
    rpc: JsonRpcClient,
) -> None:
    async with WebSocketClient() as client:
        assert client.opened == {"type": "websocket.accept", "subprotocol": "a2a.v1"}
        sent = await client.result("SendMessage", message=load_message(end="input-required"))
        task = sent["task"]
        assert task == await rpc.result("GetTask", id=task["id"])
        assert task == await client.result("GetTask", id=task["id"])
        listed = await client.result("ListTasks", contextId=task["contextId"])
        assert listed == await rpc.result("ListTasks", contextId=task["contextId"])
        config = {"taskId": task["id"], "id": "one", "url": WEBHOOK}
        created = await client.result("CreateTaskPushNotificationConfig", **config)
        named = {"taskId": task["id"], "id": "one"}
        assert created == await client.result("GetTaskPushNotificationConfig", **named)
        configs = await client.result("ListTaskPushNotificationConfigs", taskId=task["id"])
        assert configs["configs"] == [created]
        await client.result("DeleteTaskPushNotificationConfig", **named)
        assert state({"task": await client.result("CancelTask", id=task["id"])}) == "CANCELED"


async def test_several_streams_share_a_connection_and_each_has_all_of_its_events() -> None:
    ids: list[Any] = [1, "two", 3.5, None]
    found: dict[Any, list[Any]] = defaultdict(list)
    async with WebSocketClient() as client:
        for request_id in ids:
            sent = load_message(chunks=10, delay=0.001)
            await client.ask(request_id, "SendStreamingMessage", message=sent)
        ended = 0
        async with asyncio.timeout(SECONDS):
            while ended < len(ids):
                frame = await client.receive()
                ended += "streamEnd" in frame
                found[frame["id"]].append(frame)
        assert await client.result("ListTasks", pageSize=1)
    assert set(found) == set(ids)
    for frames in found.values():
        assert frames[-1] == {"jsonrpc": "2.0", "id": frames[0]["id"], "streamEnd": True}
        first = int(frames[0]["eventId"])
        numbers = [int(frame["eventId"]) for frame in frames[:-1]]
        assert numbers == list(range(first, first + len(numbers)))
        assert state(frames[-2]["result"]) == "COMPLETED"
        texts = [text(frame["result"]) for frame in frames[:-1]]
        assert [each.split()[0] for each in texts if each][:10] == [str(n) for n in range(10)]


async def test_a_stream_is_given_up_and_taken_up_again_after_an_event() -> None:
    async with WebSocketClient() as client:
        await client.ask(1, "SendStreamingMessage", message=load_message(end="hang"))
        first = await client.receive()
        await client.send({"jsonrpc": "2.0", "method": "cancelStream", "params": {"id": 1}})
        frame = first
        async with asyncio.timeout(SECONDS):
            while "streamEnd" not in frame:
                frame = await client.receive()
        # The id is free again.
        await client.send({"jsonrpc": "2.0", "method": "cancelStream", "params": {"id": 1}})
        task_id = first["result"]["task"]["id"]
        await client.result("CancelTask", id=task_id)
    async with WebSocketClient() as client:
        headers = {"Last-Event-ID": first["eventId"]}
        resumed = client.stream("SubscribeToTask", id=task_id, headers=headers)
        frames = [frame async for frame in resumed]
    numbers = [int(frame["eventId"]) for frame in frames]
    start = int(first["eventId"]) + 1
    assert numbers == list(range(start, start + len(numbers)))
    assert state(frames[-1]["result"]) == "CANCELED"


async def test_a_client_speaks_to_the_turn_whose_stream_it_reads() -> None:
    async def listens(turn: Turn) -> str:
        await turn.working("I listen")
        return f"{turn.text} and {(await turn.inbox.get()).text}"

    with agent_for_test(listens, when_busy=LIVE) as agent:
        async with WebSocketClient(agent.slug) as client:
            await client.ask(1, "SendStreamingMessage", message=message("this"))
            task = (await client.receive())["result"]["task"]
            said = message("that", taskId=task["id"])
            returns = {"returnImmediately": True}
            await client.ask(2, "SendMessage", message=said, configuration=returns)
            frames: list[Any] = []
            async with asyncio.timeout(SECONDS):
                # The stream may end before the answer to the message comes, or after it.
                while sum("streamEnd" in frame or frame["id"] == 2 for frame in frames) < 2:
                    frames.append(await client.receive())
    texts = [text(frame["result"]) for frame in frames if frame["id"] == 1 and "result" in frame]
    assert "this and that" in texts
    assert [frame["id"] for frame in frames].count(2) == 1


async def test_0_3_is_spoken_by_the_names_of_its_methods() -> None:
    parts = [{"kind": "text", "text": json.dumps({"chunks": 1})}]
    sent = {"kind": "message", "messageId": "m", "role": "user", "parts": parts}
    async with WebSocketClient() as client:
        task = await client.result("message/send", message=sent)
        assert (task["kind"], task["status"]["state"]) == ("task", "completed")
        refused = await client.call("GetTask", headers={"A2A-Version": "0.3"}, id=task["id"])
        assert code_of(refused) == -32601


async def test_a_frame_has_service_parameters_of_its_own() -> None:
    key = {"Idempotency-Key": "k", "A2A-Extensions": "urn:a2a-app:idempotent-sending:v1, urn:none"}
    async with WebSocketClient() as client:
        said = load_message()
        first = await client.call("SendMessage", headers=key, message=said)
        assert first["extensions"] == ["urn:a2a-app:idempotent-sending:v1"]
        again = await client.call("SendMessage", headers=key, message=said)
        assert again["result"]["task"]["id"] == first["result"]["task"]["id"]
        other = await client.call("SendMessage", message=said)
        assert other["result"]["task"]["id"] != first["result"]["task"]["id"]
        assert "extensions" not in other
        for headers in ({"Authorization": "Bearer x"}, {"A2A-Version": 1}, ["A2A-Version"]):
            assert code_of(await client.call("ListTasks", headers=headers)) == -32600


async def test_what_is_wrong_with_a_frame_is_answered_and_the_connection_goes_on(
    a2a: ChangeSettings,
) -> None:
    a2a(MAX_BODY_BYTES=2000)
    async with WebSocketClient() as client:
        for frame, code, request_id in (
            ("{", -32700, None),
            ("[]", -32600, None),
            ({"jsonrpc": "2.0", "method": "ListTasks"}, -32600, None),
            ({"id": True, "method": "ListTasks"}, -32600, None),
            ({"id": 1, "method": "ListTasks"}, -32600, 1),
            ({"jsonrpc": "2.0", "id": 2, "method": "None"}, -32601, 2),
            ({"jsonrpc": "2.0", "id": 3, "method": "GetTask", "params": []}, -32602, 3),
            ({"jsonrpc": "2.0", "id": "x" * 2000, "method": "ListTasks"}, -32600, None),
            ({"jsonrpc": "2.0", "method": "cancelStream"}, -32600, None),
        ):
            await client.send(frame)
            refused = await client.receive()
            assert (code_of(refused), refused["id"]) == (code, request_id), frame
        await client.ask(1, "SendMessage", message=load_message(end="hang"))
        await client.ask(1, "ListTasks")
        refused = await client.receive()
        assert (code_of(refused), refused["id"]) == (-32600, None)
        assert (await client.call("ListTasks"))["id"] == "one"


async def test_a_binary_frame_ends_the_connection() -> None:
    async with WebSocketClient() as client:
        await client.send(b"{}")
        assert await client.next_message() == {"type": "websocket.close", "code": 1003}


@pytest.mark.slow
async def test_only_known_callers_get_a_connection_and_lose_it_with_their_access(
    a2a: ChangeSettings,
) -> None:
    a2a(AUTHENTICATION=[f"{__name__}.by_name"], ANONYMOUS="refuse")
    async with WebSocketClient(x_name="bob") as client:
        assert not client.is_accepted
    async with WebSocketClient(x_name="ann") as client:
        await client.ask(1, "SendStreamingMessage", message=load_message(end="hang"))
        frame = await client.receive()
        async with asyncio.timeout(SECONDS):
            while state(frame["result"]) != "WORKING":
                frame = await client.receive()
        KNOWN.discard("ann")
        await database.run(announce_change)
        # The stream ends with its reason, and the connection with it.
        while "error" not in (frame := await client.receive()):
            pass
        assert (frame["id"], code_of(frame)) == (1, -32050)
        assert await client.next_message() == {"type": "websocket.close", "code": 1008}


@pytest.mark.parametrize(
    ("origin", "lets_in"),
    [("https://evil.example", False), ("http://testserver", True), ("", True)],
)
async def test_a_page_of_another_site_gets_no_connection_by_what_its_reader_brings(
    a2a: ChangeSettings, origin: str, lets_in: bool
) -> None:
    a2a(AUTHENTICATION=[f"{__name__}.by_user"], ANONYMOUS="refuse")
    user = await database.run(lambda: User.objects.create_user("ann"))
    headers = {"host": "testserver", **({"origin": origin} if origin else {})}
    # As Channels' AuthMiddlewareStack has found it.
    async with WebSocketClient(scope={"user": user}, **headers) as client:
        assert client.is_accepted is lets_in
        if lets_in:
            assert await client.result("ListTasks") is not None
            await database.run(user.delete)
            assert code_of(await client.call("ListTasks")) == -32050
    async with WebSocketClient(scope={"user": AnonymousUser()}, **headers) as client:
        assert not client.is_accepted


async def test_what_one_caller_may_have_open_is_limited(
    a2a: ChangeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    a2a(STREAMS_PER_OWNER=3)
    monkeypatch.setattr(connection, "MOST_OPEN", 2)
    async with WebSocketClient() as first, WebSocketClient(), WebSocketClient():
        async with WebSocketClient() as client:
            assert not client.is_accepted
        for request_id in (1, 2):
            await first.ask(request_id, "SendMessage", message=load_message(end="hang"))
        await first.ask(3, "ListTasks")
        refused = await first.receive()
        assert (refused["id"], code_of(refused)) == (3, -32053)


@pytest.mark.slow
async def test_a_client_that_leaves_stops_nothing() -> None:
    async with WebSocketClient() as client:
        await client.ask(1, "SendStreamingMessage", message=load_message(chunks=20, delay=0.01))
        task_id = (await client.receive())["result"]["task"]["id"]
    async with WebSocketClient() as client:
        headers = {"Last-Event-ID": "1"}
        followed = client.stream("SubscribeToTask", id=task_id, headers=headers)
        frames = [frame async for frame in followed]
    assert state(frames[-1]["result"]) == "COMPLETED"


async def test_the_card_lists_the_interface_where_it_is_served(a2a: ChangeSettings) -> None:
    a2a(PUBLIC_URL="https://agents.example.com", PROTOCOL_VERSIONS=["1.0"])
    path = "/.well-known/agent-card.json"
    served = json_of(await HttpJsonClient("load").get(path))["supportedInterfaces"]
    assert served[-1] == {
        "url": "wss://agents.example.com/a2a/load/",
        "protocolBinding": WEBSOCKET,
        "protocolVersion": "1.0",
    }
    a2a(WEBSOCKET=False)
    assert not conf.current().websocket
    served = json_of(await HttpJsonClient("load").get(path))["supportedInterfaces"]
    assert WEBSOCKET not in [each["protocolBinding"] for each in served]
    async with WebSocketClient() as client:
        assert not client.is_accepted


@pytest.mark.parametrize("path", ["/a2a/none/", "/a2a/load/message:send", "/nothing/"])
async def test_there_is_no_connection_where_there_is_no_agent(path: str) -> None:
    async with WebSocketClient(scope={"path": path}) as client:
        assert not client.is_accepted
