"""The gRPC server: its other services, TLS, those who read slowly or go away, and its end."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from a2a.types import a2a_pb2 as pb
from cryptography import x509
from django.http import HttpRequest
from google.protobuf.json_format import ParseDict
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from a2a_app import protocol
from a2a_app.agents import Turn, registry
from a2a_app.agents.registry import make_agent
from a2a_app.authentication import CallerName, announce_change
from a2a_app.bindings import threads
from a2a_app.bindings.grpc import server as server_module
from a2a_app.bindings.grpc.server import Certificate, GrpcServer
from a2a_app.operations import Call
from tests.bindings import users
from tests.certificates import as_pem, authority, certificate, key_pem
from tests.clients.grpc import SECONDS, GrpcClient, items_of, refused
from tests.conftest import ChangeSettings
from tests.listening import listening
from tests.wire import UNKNOWN_TASK, load_message, message, state

SERVICE = "lf.a2a.v1.A2AService"


def asked(**load: Any) -> pb.SendMessageRequest:
    request: pb.SendMessageRequest = ParseDict(
        {"message": load_message(**load)}, pb.SendMessageRequest()
    )
    return request


async def eventually(look: Any) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(SECONDS):
        while not look():  # noqa: ASYNC110  # what is looked at tells nobody
            await asyncio.sleep(0.01)


async def test_the_service_of_health_says_whether_the_process_is_ready(client: GrpcClient) -> None:
    stub: Any = health_pb2_grpc.HealthStub(client.channel)
    for service in ("", SERVICE):
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_reflection_describes_the_service_to_tools(client: GrpcClient) -> None:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(client.channel)
    call = stub.ServerReflectionInfo()
    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    listed = (await call.read()).list_services_response.service
    assert {each.name for each in listed} >= {SERVICE, "grpc.health.v1.Health"}
    await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE))
    described = (await call.read()).file_descriptor_response.file_descriptor_proto
    assert any(b"SendStreamingMessage" in each for each in described)
    await call.done_writing()


@pytest.mark.slow
async def test_a_client_may_ask_for_signs_of_life_while_its_stream_is_quiet(
    a2a: ChangeSettings, runtime: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "MIN_PING_SECONDS", 0.1)
    a2a(PUBLIC_URL="https://agents.example.com")
    server = GrpcServer("127.0.0.1", 0)
    await server.start()
    options = [("grpc.keepalive_time_ms", 300), ("grpc.http2.max_pings_without_data", 0)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}", options=options) as channel:
        stream = GrpcClient(channel).stream("SendStreamingMessage", asked(chunks=1, delay=6.0))
        *_, last = await items_of(stream)
        assert state(last) == "COMPLETED"
    await server.end()


async def test_a_connection_has_so_many_calls_at_once_and_no_more(
    a2a: ChangeSettings, runtime: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "MOST_CALLS", 2)
    a2a(PUBLIC_URL="https://agents.example.com", STREAMS_PER_OWNER=1)
    server = GrpcServer("127.0.0.1", 0)
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        watching = [stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(2)]
        for each in watching:
            assert (await each.read()).status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(health_pb2.HealthCheckRequest(), timeout=1)
        # The client keeps it back, or the server refuses it.
        assert caught.value.code().name in ("DEADLINE_EXCEEDED", "UNAVAILABLE")
    await server.end()


async def test_the_server_ends_streams_at_once_and_tells_their_clients_to_come_back(
    server: GrpcServer, client: GrpcClient
) -> None:
    stream = client.stream("SendStreamingMessage", asked(end="hang"))
    await anext(aiter(stream))
    waits = client.start("SendMessage", asked(end="hang"))
    await eventually(lambda: len(server.calls) == 2)
    await server.end()
    for work in (items_of(stream), waits):
        code, status = await refused(work)
        info, retry = status["details"]
        assert (code, info["reason"], retry["retryDelay"]) == ("UNAVAILABLE", "UNAVAILABLE", "1s")


async def test_a_client_that_is_gone_has_no_stream_open_any_more(
    server: GrpcServer, client: GrpcClient, a2a: ChangeSettings
) -> None:
    a2a(STREAMS_PER_OWNER=2)
    for _ in range(3):
        stream = client.stream("SendStreamingMessage", asked(end="hang"))
        await anext(aiter(stream))
        waits = client.start("SendMessage", asked(end="hang"))
        await eventually(lambda: len(server.calls) == 2)
        stream.cancel()
        waits.cancel()
        await eventually(lambda: not server.calls)


@pytest.mark.slow
async def test_an_open_stream_has_neither_a_thread_nor_its_request(client: GrpcClient) -> None:
    stream = client.stream("SendStreamingMessage", asked(end="hang"))
    await anext(aiter(stream))
    await eventually(lambda: not threads._lent)
    await eventually(lambda: not held(protocol.SendMessageRequest) and not held(Call))
    stream.cancel()


ASKED: list[HttpRequest] = []


def by_name(request: HttpRequest) -> CallerName:
    """Know everybody, without `async`, which takes a thread."""
    ASKED.append(request)
    return CallerName("ann")


@pytest.mark.slow
async def test_a_call_whose_message_does_not_come_has_no_thread_and_is_refused_in_the_end(
    client: GrpcClient, a2a: ChangeSettings
) -> None:
    a2a(AUTHENTICATION=[f"{__name__}.by_name"], READER_SECONDS=600)
    ASKED.clear()
    method = client.channel.stream_unary(f"/{SERVICE}/SendMessage")
    call = method(metadata=(("a2a-agent", "load"),))
    await call.wait_for_connection()
    await eventually(lambda: ASKED and not threads._lent)
    assert not call.done()
    call.cancel()
    a2a(READER_SECONDS=0.1)
    code, status = await refused(method(metadata=(("a2a-agent", "load"),)))
    assert (code, status["message"]) == (
        "INVALID_ARGUMENT",
        "The message of the call did not come within 0.1 seconds.",
    )
    await client.send(load_message(chunks=0))


def held(kind: type) -> list[object]:
    """Return the objects of a class that something refers to."""
    gc.collect()
    return [each for each in gc.get_objects() if type(each) is kind]


@asynccontextmanager
async def cut_line(port: int) -> AsyncIterator[tuple[int, Callable[[], None]]]:
    """Stand between clients and a port; yield the port for clients, and what cuts their line."""
    writers: list[asyncio.StreamWriter] = []

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        while data := await reader.read(65536):
            writer.write(data)

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, here = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(pass_on(reader, here), pass_on(there, writer))
        finally:
            here.transport.abort()

    def cut() -> None:
        for writer in writers:
            writer.transport.abort()

    async with listening(connect) as port_of_line:
        yield port_of_line, cut


async def test_a_client_whose_connection_breaks_has_nothing_open_and_its_task_goes_on(
    server: GrpcServer, client: GrpcClient
) -> None:
    async with (
        cut_line(server.port) as (port, cut),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        far = GrpcClient(channel)
        stream = far.stream("SendStreamingMessage", asked(end="hang"))
        task = (await anext(aiter(stream))).task
        waits = far.start("SendMessage", asked(end="hang"))
        await eventually(lambda: len(server.calls) == 2)
        cut()
        await eventually(lambda: not server.calls)
        assert (await waits.code()) is grpc.StatusCode.UNAVAILABLE
    found = await client.call("GetTask", pb.GetTaskRequest(id=task.id))
    assert found.status.state in (pb.TASK_STATE_SUBMITTED, pb.TASK_STATE_WORKING)


@pytest.mark.slow
async def test_a_deadline_ends_a_call_and_not_the_task(client: GrpcClient) -> None:
    stream = client.stream("SendStreamingMessage", asked(end="hang"))
    task = (await anext(aiter(stream))).task
    follow = client.stub.SubscribeToTask(
        pb.SubscribeToTaskRequest(id=task.id), timeout=0.1, metadata=(("a2a-agent", "load"),)
    )
    with pytest.raises(grpc.aio.AioRpcError) as late:
        await items_of(follow)
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    found = await client.call("GetTask", pb.GetTaskRequest(id=task.id))
    assert found.status.state in (pb.TASK_STATE_SUBMITTED, pb.TASK_STATE_WORKING)
    await client.call("CancelTask", pb.CancelTaskRequest(id=task.id))
    assert state((await items_of(stream))[-1]) == "CANCELED"


async def speaks(turn: Turn) -> None:
    """Say more than fits into the buffers of a connection."""
    for _ in range(100):
        await turn.artifact("x" * 100_000)


@pytest.mark.slow
async def test_a_client_that_does_not_read_is_cut_off_and_nobody_else_waits_for_it(
    server: GrpcServer, client: GrpcClient, a2a: ChangeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    a2a(READER_SECONDS=0.5, STREAMS_PER_OWNER=1)
    with registry.registered(make_agent(speaks, slug="speaks")):
        said = ParseDict({"message": message()}, pb.SendMessageRequest())
        stream = client.calls("speaks").stream("SendStreamingMessage", said)
        await anext(aiter(stream))
        await eventually(lambda: "which took nothing for 0.5 seconds" in caplog.text)
        await eventually(lambda: server.calls.stalled.total() == 1)
        # What was sent to it stays in memory until it is read, so there is not more and more of it.
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            other = GrpcClient(channel)
            code, status = await refused(other.call("GetTask", pb.GetTaskRequest(id=UNKNOWN_TASK)))
            assert (code, status["message"]) == (
                "RESOURCE_EXHAUSTED",
                "You have 1 calls whose answers you do not read.",
            )
            assert (await refused(items_of(stream)))[0] == "UNAVAILABLE"
            await other.send(load_message(chunks=1))
            await eventually(lambda: not server.calls.stalled)


@pytest.mark.slow
async def test_a_stream_ends_once_its_caller_has_lost_its_access(
    client: GrpcClient, a2a: ChangeSettings
) -> None:
    a2a(ANONYMOUS="refuse", AUTHENTICATION=[f"{users.__name__}.ByBearer"], ACCESS_SECONDS=600)
    ann = client.calls("load", authorization=f"Bearer {users.TOKEN}")
    stream = ann.stream("SendStreamingMessage", asked(end="hang"))
    await anext(aiter(stream))
    a2a(AUTHENTICATION=[])
    announce_change()
    assert (await refused(items_of(stream)))[0] == "UNAUTHENTICATED"


async def test_calls_are_encrypted_where_the_server_has_a_certificate(
    a2a: ChangeSettings, runtime: None
) -> None:
    a2a(PUBLIC_URL="https://agents.example.com", AUTHENTICATION=[f"{__name__}.is_secure"])
    shown = certificate("server", x509.DNSName("localhost"))
    server = GrpcServer("127.0.0.1", 0, Certificate(as_pem(shown).encode(), key_pem("server")))
    await server.start()
    trusted = grpc.ssl_channel_credentials(as_pem(authority()).encode())
    async with grpc.aio.secure_channel(f"localhost:{server.port}", trusted) as channel:
        await GrpcClient(channel).send(load_message(chunks=0))
    assert seen == ["https"]
    await server.end()


seen: list[str | None] = []


def is_secure(request: HttpRequest) -> None:
    seen.append(request.scheme)
