"""Refusals over gRPC: their status, what their details say, and what they cost (10.6)."""

import asyncio
from inspect import signature
from typing import Any

import grpc
import pytest
from a2a.types import a2a_pb2 as pb
from django.core.exceptions import PermissionDenied
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Value

from a2a_app import protocol
from a2a_app.bindings.dialects import CURRENT
from a2a_app.bindings.grpc.statuses import status_of
from tests.bindings import users
from tests.clients.grpc import SECONDS, GrpcClient, refused
from tests.conftest import ChangeSettings
from tests.wire import UNKNOWN_TASK, load_message, message

RAW = "/lf.a2a.v1.A2AService/"


def errors() -> list[type[protocol.A2AError]]:
    """Return every error of the protocol."""
    found, waiting = [], [protocol.A2AError]
    while waiting:
        kinds = waiting.pop().__subclasses__()
        found += kinds
        waiting += kinds
    return found


@pytest.mark.parametrize("kind", errors(), ids=lambda kind: kind.__name__)
def test_every_error_has_a_status_with_its_reason_first(kind: type[protocol.A2AError]) -> None:
    taken = signature(kind).parameters.values()
    needed = [
        each for each in taken if each.default is each.empty and each.kind != each.VAR_KEYWORD
    ]
    status = status_of(CURRENT, kind(*("x" for _ in needed)))
    assert status.code == grpc.StatusCode[kind.grpc_status].value[0] != 0
    info = status.details[0]
    assert info.type_url == "type.googleapis.com/google.rpc.ErrorInfo"
    assert kind.reason.encode() in info.value
    assert protocol.errors.DOMAIN.encode() in info.value


async def test_bad_fields_are_named(client: GrpcClient) -> None:
    said = pb.Message(message_id="", role=pb.ROLE_USER)
    code, status = await refused(client.call("SendMessage", pb.SendMessageRequest(message=said)))
    assert code == "INVALID_ARGUMENT"
    info, bad = status["details"]
    assert info["reason"] == "INVALID_PARAMS"
    fields = [each["field"] for each in bad["fieldViolations"]]
    assert fields == ["message.messageId", "message.parts"]


async def test_so_much_is_told_of_bad_fields_as_a_client_takes(client: GrpcClient) -> None:
    metadata = {f"{number:0>90}": "\0" for number in range(200)}
    said = message(f"é{'ü' * 3000}\0") | {"metadata": metadata}
    asked = ParseDict({"message": said}, pb.SendMessageRequest())
    code, status = await refused(client.call("SendMessage", asked))
    assert code == "INVALID_ARGUMENT"
    assert [detail["@type"].rpartition(".")[2] for detail in status["details"]] == [
        "ErrorInfo",
        "BadRequest",
    ]


async def raw(client: GrpcClient, method: str, body: bytes, **options: Any) -> Any:
    """Call a method with bytes."""
    call = client.channel.unary_unary(RAW + method)
    return await call(body, timeout=SECONDS, metadata=(("a2a-agent", "load"),), **options)


async def test_what_is_no_message_is_refused(client: GrpcClient) -> None:
    code, status = await refused(raw(client, "SendMessage", b"\xff\xff"))
    assert (code, status["details"][0]["reason"]) == ("INVALID_ARGUMENT", "INVALID_REQUEST")
    assert "lf.a2a.v1.SendMessageRequest" in status["message"]


async def test_a_method_that_does_not_exist_is_not_implemented(client: GrpcClient) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await raw(client, "NoMethod", b"")
    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED


def field(kind: type[Message], name: str, content: bytes) -> bytes:
    """Return a field of a message that is a message, with what is in it, as bytes."""
    size, length = len(content), b""
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    tag = kind.DESCRIPTOR.fields_by_name[name].number << 3 | 2
    return bytes([tag]) + length + bytes([size]) + content


def nested(depth: int) -> bytes:
    """Return a list in a list in a list, as bytes: the libraries make none that is so deep."""
    value = b""
    for _ in range(depth):
        value = field(Value, "list_value", field(ListValue, "values", value))
    return value


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (Value(number_value=float("inf")).SerializeToString(), "Infinity"),
        (Value(number_value=float("nan")).SerializeToString(), "NaN"),
        (nested(200), "no lf.a2a.v1.SendMessageRequest"),
    ],
    ids=["infinite", "no number", "deep"],
)
async def test_what_json_cannot_hold_is_refused(
    client: GrpcClient, value: bytes, problem: str
) -> None:
    part = field(pb.Message, "parts", field(pb.Part, "data", value))
    body = field(pb.SendMessageRequest, "message", part)
    code, status = await refused(raw(client, "SendMessage", body))
    assert code == "INVALID_ARGUMENT"
    assert problem in status["message"]


async def test_a_message_may_have_so_many_values(client: GrpcClient, a2a: ChangeSettings) -> None:
    a2a(MAX_JSON_VALUES=2000)

    def asked(count: int) -> pb.SendMessageRequest:
        data = Value(list_value=ListValue(values=[Value(null_value=0)] * count))
        said = pb.Message(message_id="1", role=pb.ROLE_USER, parts=[pb.Part(data=data)])
        return pb.SendMessageRequest(message=said)

    await client.calls("mirror").call("SendMessage", asked(1900))
    code, status = await refused(client.calls("mirror").call("SendMessage", asked(2100)))
    assert code == "INVALID_ARGUMENT"
    assert status["message"] == "The message has more than 2000 values."


@pytest.mark.slow
async def test_a_message_that_is_too_large_is_refused_and_the_connection_goes_on(
    a2a: ChangeSettings, client: GrpcClient
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await raw(client, "SendMessage", bytes(11 * 1024 * 1024))
    assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    await client.send(load_message(chunks=0))


async def test_a_limit_is_named(client: GrpcClient, a2a: ChangeSettings) -> None:
    a2a(STREAMS_PER_OWNER=1)
    asked = ParseDict({"message": load_message(end="hang")}, pb.SendMessageRequest())
    stream = client.stream("SendStreamingMessage", asked)
    await anext(aiter(stream))
    code, status = await refused(client.call("SendMessage", asked))
    stream.cancel()
    assert code == "RESOURCE_EXHAUSTED"
    info, quota, retry = status["details"]
    assert info["metadata"] == {"limit": "STREAMS_PER_OWNER"}
    assert quota["violations"][0]["subject"] == "STREAMS_PER_OWNER"
    assert retry["retryDelay"] == "1s"


async def test_nobody_reads_the_message_of_a_caller_who_is_refused(
    client: GrpcClient, a2a: ChangeSettings
) -> None:
    a2a(ANONYMOUS="refuse", AUTHENTICATION=[f"{users.__name__}.ByBearer"])
    call = client.channel.stream_unary(RAW + "SendMessage")()
    # It has not sent any, and is answered all the same.
    async with asyncio.timeout(SECONDS):
        assert await call.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_call_without_a_message_is_refused(client: GrpcClient) -> None:
    call = client.channel.stream_unary(RAW + "SendMessage")(metadata=(("a2a-agent", "load"),))
    await call.done_writing()
    code, status = await refused(call)
    assert (code, status["message"]) == ("INVALID_ARGUMENT", "The call has no message.")


def denies(request: Any) -> None:
    raise PermissionDenied("Not you.")


def breaks(request: Any) -> None:
    raise RuntimeError("secret")


async def test_what_hooks_raise_is_a_status_without_details_of_a_fault(
    client: GrpcClient, a2a: ChangeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    asked = pb.GetTaskRequest(id=UNKNOWN_TASK)
    a2a(AUTHENTICATION=[f"{__name__}.denies"])
    code, status = await refused(client.call("GetTask", asked))
    assert (code, status["message"]) == ("PERMISSION_DENIED", "Not you.")
    a2a(AUTHENTICATION=[f"{__name__}.breaks"])
    code, status = await refused(client.call("GetTask", asked))
    assert code == "INTERNAL"
    reference = status["message"].removeprefix("Internal error. Reference: ")
    assert reference in caplog.text
    assert "secret" not in str(status)
