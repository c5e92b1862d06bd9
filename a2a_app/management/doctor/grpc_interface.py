"""A site's gRPC interface from outside: TLS, health, the service itself, and reflection."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
from a2a.types import a2a_pb2
from a2a.types.a2a_pb2_grpc import A2AServiceStub
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from a2a_app import protocol
from a2a_app.management.doctor import Finding

SECONDS = 10.0
SUBJECT = "gRPC"
_HERE = ("localhost:", "127.0.0.1:", "[::1]:")
_SERVICE = a2a_pb2.DESCRIPTOR.services_by_name["A2AService"].full_name
_Code = grpc.StatusCode


def examine_grpc(interface: protocol.AgentInterface, key: str = "") -> Iterator[Finding]:
    """Look at the interface of gRPC in version 1.0 that a card lists, and yield what is found.

    Args:
        interface: The interface.
        key: A bearer token that the site accepts; empty for none.
    """
    problems = []
    for is_encrypted, channel in _channels(interface.url):
        with channel:
            health = _health(channel)
            if isinstance(health, str):
                problems.append(health)
                continue
            yield _transport(interface.url, is_encrypted=is_encrypted)
            yield health
            yield _service(channel, interface, key)
            yield _reflection(channel)
            return
    # With TLS, which is the one that should have answered.
    yield Finding(SUBJECT, "fault", f"Nobody answers at {interface.url}: {problems[0]}.")


def _channels(url: str) -> Iterator[tuple[bool, grpc.Channel]]:
    """Yield a channel with TLS, and then one without; a URL of gRPC does not say which it is."""
    authorities = os.environ.get("SSL_CERT_FILE")  # as for the requests of HTTP
    roots = Path(authorities).read_bytes() if authorities else None
    yield True, grpc.secure_channel(url, grpc.ssl_channel_credentials(roots))
    yield False, grpc.insecure_channel(url)


def _transport(url: str, *, is_encrypted: bool) -> Finding:
    if is_encrypted:
        return Finding("gRPC TLS", "good", f"{url} is served with TLS.")
    if url.startswith(_HERE):
        return Finding("gRPC TLS", "note", f"{url} is on this machine, without TLS.")
    text = f"{url} is served without TLS: keys and messages can be read on the way."
    return Finding("gRPC TLS", "fault", text)


def _health(channel: grpc.Channel) -> Finding | str:
    """Return what the service of health says; where nobody answers, why not."""
    stub: Any = health_pb2_grpc.HealthStub(channel)
    try:
        answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)
    except grpc.RpcError as error:
        if error.code() in (_Code.UNAVAILABLE, _Code.DEADLINE_EXCEEDED):
            return str(error.details())
        text = f"There is no service of health, for whoever balances calls: {error.code().name}."
        return Finding("gRPC health", "warning", text)
    if answer.status == health_pb2.HealthCheckResponse.SERVING:
        return Finding("gRPC health", "good", "The service of health says that it is ready.")
    text = "The service of health says that it is not ready: see the database and its tables."
    return Finding("gRPC health", "fault", text)


def _service(channel: grpc.Channel, interface: protocol.AgentInterface, key: str) -> Finding:
    """Ask for a task that cannot exist."""
    stub: Any = A2AServiceStub(channel)  # type: ignore[no-untyped-call]  # it has no types
    metadata = [(protocol.VERSION_HEADER.lower(), protocol.VERSION)]
    if key:
        metadata.append(("authorization", f"Bearer {key}"))
    asked = a2a_pb2.GetTaskRequest(id=str(uuid4()), tenant=interface.tenant)
    try:
        stub.GetTask(asked, metadata=metadata, timeout=SECONDS)
        code, details = _Code.OK, "a task that cannot exist"
    except grpc.RpcError as error:
        code, details = error.code(), error.details()
    if code is _Code.NOT_FOUND:
        return Finding(SUBJECT, "good", f"{interface.url} answers as an A2A server does.")
    if code is _Code.UNAUTHENTICATED and not key:
        return Finding(SUBJECT, "good", f"{interface.url} answers, and refuses strangers.")
    return Finding(SUBJECT, "fault", f"{interface.url} answers {code.name}: {details}")


def _reflection(channel: grpc.Channel) -> Finding:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    try:
        [answer] = stub.ServerReflectionInfo(iter([asked]), timeout=SECONDS)
    except grpc.RpcError as error:
        text = f"There is no reflection, which tools like grpcurl use: {error.code().name}."
        return Finding("gRPC reflection", "note", text)
    names = {each.name for each in answer.list_services_response.service}
    if _SERVICE in names:
        return Finding("gRPC reflection", "good", f"Reflection lists {_SERVICE}.")
    return Finding("gRPC reflection", "warning", f"Reflection does not list {_SERVICE}.")
