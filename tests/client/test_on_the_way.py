"""What may happen on the way to an agent: no answer, a refusal, a card that is false."""

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from typing import Any

import httpx
import pytest
from joserfc import jws
from joserfc.jwk import ECKey

from a2a_app.agents import AgentCard, TaskState, signing
from a2a_app.agents.extensions import IDEMPOTENT_SENDING
from a2a_app.client import RemoteAgent, RemoteAgentError, UnreachableError
from a2a_app.protocol import (
    A2AError,
    InternalError,
    NoRoomError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
)
from tests.conftest import ChangeSettings

BASE = "https://peer.test"
EC_KEY = ECKey.generate_key("P-256")
TASK = {"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_COMPLETED"}}
CARD: dict[str, Any] = {
    "name": "Peer",
    "description": "Answers.",
    "version": "1",
    "supportedInterfaces": [
        {"url": f"{BASE}/rpc", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
        {"url": f"{BASE}/rest", "protocolBinding": "HTTP+JSON", "protocolVersion": "1.0"},
    ],
    "capabilities": {"streaming": False},
    "defaultInputModes": ["text/plain"],
    "defaultOutputModes": ["text/plain"],
    "skills": [],
}
IDEMPOTENT = {"streaming": False, "extensions": [IDEMPOTENT_SENDING.to_dict()]}

Answer = Callable[[httpx.Request], httpx.Response]


class Peer(httpx.MockTransport):
    """A server that gives one answer after the other, the last one for ever."""

    def __init__(self, *answers: Answer | int, **card: Any) -> None:
        self.requests: list[httpx.Request] = []
        self._answers = list(answers) or [200]
        self._card = {name: value for name, value in {**CARD, **card}.items() if value is not ...}
        super().__init__(self._respond)

    def _respond(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("agent-card.json"):
            return httpx.Response(200, json=self._card)
        if request.url.path.endswith("jwks.json"):
            public = {**EC_KEY.as_dict(private=False), "kid": "one"}
            return httpx.Response(200, json={"keys": [public]})
        self.requests.append(request)
        answer = self._answers[0] if len(self._answers) == 1 else self._answers.pop(0)
        if isinstance(answer, int):
            return httpx.Response(answer, json=result(request)) if answer == 200 else busy(answer)
        return answer(request)


def busy(status: int, after: str = "0") -> httpx.Response:
    return httpx.Response(status, text="<html>", headers={"Retry-After": after})


def result(request: httpx.Request) -> dict[str, Any]:
    if request.url.path.startswith("/rest"):
        return TASK if "tasks" in request.url.path else {"task": TASK}
    asked = json.loads(request.content)
    found = TASK if asked["method"] == "GetTask" else {"task": TASK}
    return {"jsonrpc": "2.0", "id": asked["id"], "result": found}


def error(code: int, **more: Any) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        said = {"code": code, "message": "said so", **more}
        return httpx.Response(200, json={"jsonrpc": "2.0", "id": asked["id"], "error": said})

    return answer


def lost(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("gone", request=request)


def refused(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


@pytest.fixture(autouse=True)
def quick_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("a2a_app.client.resumption.PAUSES", (0.0, 0.0))


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
@pytest.mark.parametrize("first", [503, 502, lost, refused])
async def test_a_question_is_asked_again(first: Answer | int, binding: str) -> None:
    peer = Peer(first, 200)
    async with RemoteAgent(BASE, transport=peer, binding=binding) as agent:
        assert (await agent.get("t")).state is TaskState.COMPLETED
    assert len(peer.requests) == 2


@pytest.mark.parametrize("first", [503, lost])
async def test_a_message_is_sent_again_only_where_it_is_not_taken_twice(first: Any) -> None:
    peer = Peer(first, 200)
    async with RemoteAgent(BASE, transport=peer) as agent:
        with pytest.raises((UnavailableError, UnreachableError)):
            await agent.send("hello")
    assert len(peer.requests) == 1 and "Idempotency-Key" not in peer.requests[0].headers
    peer = Peer(first, 200, capabilities=IDEMPOTENT)
    async with RemoteAgent(BASE, transport=peer) as agent:
        assert (await agent.send("hello")).task_id == "t"
    keys = [request.headers["Idempotency-Key"] for request in peer.requests]
    assert len(keys) == 2 and keys[0] == keys[1]
    assert peer.requests[0].content.split(b'"id"')[0] == peer.requests[1].content.split(b'"id"')[0]


async def test_a_message_that_was_never_sent_is_sent_again() -> None:
    peer = Peer(refused, 200)
    async with RemoteAgent(BASE, transport=peer) as agent:
        assert (await agent.send("hello")).task_id == "t"


async def test_a_limit_is_tried_again_only_where_it_helps_to_wait() -> None:
    for limit, tries in (
        (ResourceExhaustedError("Too many.", limit="X", retry_seconds=0), 2),
        (NoRoomError("Too much.", limit="X"), 1),
    ):
        peer = Peer(error(limit.code, data=limit.details()), 200)
        async with RemoteAgent(BASE, transport=peer) as agent:
            with nullcontext() if tries == 2 else pytest.raises(NoRoomError):
                await agent.get("t")
        assert len(peer.requests) == tries


async def test_an_agent_that_does_not_come_back_is_given_up() -> None:
    peer = Peer(503)
    async with RemoteAgent(BASE, transport=peer) as agent:
        with pytest.raises(UnavailableError):
            await agent.get("t")
    assert len(peer.requests) == 3


async def test_a_server_that_wants_a_long_pause_is_left_alone() -> None:
    peer = Peer(lambda _: busy(503, after="600"))
    async with RemoteAgent(BASE, transport=peer) as agent:
        with pytest.raises(UnavailableError) as raised:
            await agent.get("t")
    assert raised.value.retry_seconds == 600
    assert len(peer.requests) == 1


class Broken(httpx.AsyncByteStream):
    """A stream with one event, which then breaks off."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        working = {**TASK, "status": {"state": "TASK_STATE_WORKING"}}
        envelope = {"jsonrpc": "2.0", "id": 1, "result": {"task": working}}
        yield f"data: {json.dumps(envelope)}\n\n".encode()
        raise httpx.ReadError("gone")


def broken(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=Broken())


async def test_a_stream_that_only_ever_shows_the_same_is_given_up() -> None:
    peer = Peer(broken, capabilities={"streaming": True})
    async with RemoteAgent(BASE, transport=peer) as agent:
        seen = []
        with pytest.raises(UnreachableError):
            async for event in agent.stream("hello"):
                seen += [event.state]
    methods = [json.loads(request.content)["method"] for request in peer.requests]
    assert methods == ["SendStreamingMessage", "SubscribeToTask", "SubscribeToTask"]
    assert seen == [TaskState.WORKING] * 3


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (401, UnauthenticatedError),
        (403, PermissionDeniedError),
        (error(-32050), UnauthenticatedError),
        (error(-32603), InternalError),
        (lambda _: httpx.Response(200, text="<html>"), RemoteAgentError),
        (lambda _: httpx.Response(200, json=["what"]), RemoteAgentError),
        (lambda _: httpx.Response(404, text="no"), RemoteAgentError),
    ],
)
async def test_an_answer_that_is_none_says_what_it_is(answer: Any, kind: type[Exception]) -> None:
    async with RemoteAgent(BASE, transport=Peer(answer)) as agent:
        with pytest.raises(kind) as caught:
            await agent.get("t")
    # Some that show an error, and what has led to it, would never come to an end.
    assert caught.value.__cause__ is not caught.value


LONG = "a" * 100_000


@pytest.mark.parametrize(
    "answer",
    [
        error(-32001, message=LONG),
        error(-32050, message=LONG, data=[{"reason": "UNAVAILABLE"}]),
        lambda _: httpx.Response(200, json={"jsonrpc": "2.0", "id": "1", "error": LONG}),
    ],
)
async def test_an_error_of_another_agent_is_no_longer_than_a_line_of_a_log_may_be(
    answer: Answer,
) -> None:
    async with RemoteAgent(BASE, transport=Peer(answer)) as agent:
        with pytest.raises((A2AError, RemoteAgentError)) as caught:
            await agent.get("t")
    assert len(str(caught.value)) < 10_000


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "no interface with JSONRPC or HTTP+JSON, but: GRPC 1.0 at peer.test:50051."),
        ({"version": "0.3"}, "no interface with JSONRPC or HTTP+JSON 0.3, but: GRPC 1.0 at"),
        ({"binding": "HTTP+JSON"}, "no interface with HTTP+JSON, but: GRPC 1.0 at"),
        ({"binding": "GRPC"}, "speaks JSONRPC or HTTP+JSON, and not GRPC."),
    ],
)
async def test_a_card_without_an_interface_that_is_spoken_is_said_to_be_so(
    asked: dict[str, Any], said: str
) -> None:
    only = {"url": "peer.test:50051", "protocolBinding": "GRPC", "protocolVersion": "1.0"}
    with pytest.raises(RemoteAgentError, match=re.escape(said)):
        await RemoteAgent(BASE, transport=Peer(supportedInterfaces=[only]), **asked).__aenter__()


async def test_of_many_interfaces_that_are_not_spoken_the_first_are_named() -> None:
    one = {"url": "x" * 300, "protocolBinding": "urn:x", "protocolVersion": "1.0"}
    with pytest.raises(RemoteAgentError, match="and 90 more") as caught:
        await RemoteAgent(BASE, transport=Peer(supportedInterfaces=[one] * 100)).__aenter__()
    assert len(str(caught.value)) < 2000


def signed(**card: Any) -> dict[str, Any]:
    """Return a card with a signature of the key of `Peer`."""
    made = AgentCard.from_dict({**CARD, **card})
    header = {"alg": "ES256", "kid": "one", "jku": f"{BASE}/jwks.json"}
    content = jws.serialize_json(
        {"protected": header}, signing.canonical(made), EC_KEY, algorithms=["ES256"]
    )
    signature = {"protected": content["protected"], "signature": content["signature"]}
    return {**made.to_dict(), "signatures": [signature]}


async def test_a_card_with_a_signature_needs_a_valid_one(a2a: ChangeSettings) -> None:
    async with RemoteAgent(BASE, transport=Peer(**signed())) as agent:
        assert agent.card.name == "Peer"
    false = {**signed(), "description": "Something else."}
    with pytest.raises(RemoteAgentError, match="is not verified"):
        await RemoteAgent(BASE, transport=Peer(**false)).__aenter__()
    a2a(REMOTE_AGENTS={"peer": {"URL": BASE, "SIGNATURE": "ignore"}})
    async with RemoteAgent("peer", transport=Peer(**false)) as agent:
        assert agent.card.description == "Something else."


async def test_a_card_may_have_to_be_signed_by_one_key(a2a: ChangeSettings) -> None:
    key = EC_KEY.as_pem(private=False).decode()
    a2a(REMOTE_AGENTS={"peer": {"URL": BASE, "SIGNATURE": "require", "KEY": key}})
    async with RemoteAgent("peer", transport=Peer(**signed())) as agent:
        assert agent.card.signatures
    with pytest.raises(RemoteAgentError, match="has no signature"):
        await RemoteAgent("peer", transport=Peer()).__aenter__()
    other = ECKey.generate_key("P-256").as_pem(private=False).decode()
    a2a(REMOTE_AGENTS={"peer": {"URL": BASE, "KEY": other}})
    with pytest.raises(RemoteAgentError, match="is not verified"):
        await RemoteAgent("peer", transport=Peer(**signed())).__aenter__()


async def test_a_key_that_is_none_is_not_taken_for_a_fault_of_the_card(a2a: ChangeSettings) -> None:
    a2a(REMOTE_AGENTS={"peer": {"URL": BASE, "KEY": "no PEM"}})
    with pytest.raises(RemoteAgentError, match="The key that it is checked with is no key in PEM"):
        await RemoteAgent("peer", transport=Peer(**signed())).__aenter__()


async def test_a_signature_of_0_3_is_said_to_be_one_that_cannot_be_checked(
    a2a: ChangeSettings,
) -> None:
    old = {"url": f"{BASE}/rpc", "protocolVersion": "0.3.0", "preferredTransport": "JSONRPC"}
    peer = Peer(**old, supportedInterfaces=..., signatures=signed()["signatures"])
    with pytest.raises(RemoteAgentError, match=r"verified: Only those of 1\.0 can be"):
        await RemoteAgent(BASE, transport=peer).__aenter__()
    a2a(REMOTE_AGENTS={"peer": {"URL": BASE, "SIGNATURE": "ignore"}})
    async with RemoteAgent("peer", transport=peer) as agent:
        assert agent.card.name == "Peer"


async def test_keys_elsewhere_are_not_trusted() -> None:
    card = signed()
    with pytest.raises(RemoteAgentError, match="which is not where the card is"):
        await RemoteAgent("https://mirror.test", transport=Peer(**card)).__aenter__()


async def as_it_comes(body: bytes) -> AsyncIterator[bytes]:
    yield body


@pytest.mark.parametrize("character", ["\x85", "\u2028", "\u2029"])
async def test_a_text_may_have_what_only_looks_like_the_end_of_a_line(character: str) -> None:
    text = f"one{character}two"
    said = {"messageId": "m", "role": "ROLE_AGENT", "parts": [{"text": text}]}
    envelope = {"jsonrpc": "2.0", "id": "1", "result": {"message": said}}
    body = f"data: {json.dumps(envelope, ensure_ascii=False)}\n\n".encode()
    headers = {"Content-Type": "text/event-stream"}
    peer = Peer(
        lambda _: httpx.Response(200, headers=headers, content=as_it_comes(body)),
        capabilities={"streaming": True},
    )
    async with RemoteAgent(BASE, transport=peer) as agent:
        assert (await agent.send("hello")).text == text


async def test_a_time_in_data_is_not_taken_for_that_of_a_status() -> None:
    data = {"state": "on", "timestamp": "2026-11-30T10:00:00"}
    artifact = {"artifactId": "a", "parts": [{"data": data}]}

    def answer(request: httpx.Request) -> httpx.Response:
        status = {"state": "TASK_STATE_COMPLETED", "timestamp": "2026-11-30T10:00:00"}
        task = {**TASK, "status": status, "artifacts": [artifact]}
        said = json.dumps({"jsonrpc": "2.0", "id": "1", "result": task}).encode()
        return httpx.Response(200, content=as_it_comes(said))

    async with RemoteAgent(BASE, transport=Peer(answer)) as agent:
        found = await agent.get("t")
    assert found.data == [data]
    assert found.task is not None and found.task.status.timestamp is not None
