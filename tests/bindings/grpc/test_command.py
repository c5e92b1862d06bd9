"""`manage.py a2a_grpc`: from its start to its end, and what it refuses."""

import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest
from django.core.management import CommandError, call_command
from grpc_health.v1 import health_pb2, health_pb2_grpc

from a2a_app.checks.serving import check_grpc
from tests.conftest import ChangeSettings
from tests.servers import free_port

SECONDS = 30


def end_once_it_serves(port: int, seen: list[Any]) -> None:
    """Ask for the health of the process's own server, and then ask the process to end."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        asked = health_pb2.HealthCheckRequest()
        # By then it has its handlers for signals.
        seen.append(stub.Check(asked, timeout=SECONDS, wait_for_ready=True).status)
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.slow
def test_it_serves_until_it_is_asked_to_end(a2a: ChangeSettings, transactional_db: None) -> None:
    a2a(PUBLIC_URL="https://agents.example.com")
    seen: list[Any] = []
    port = free_port()
    asking = threading.Thread(target=end_once_it_serves, args=(port, seen))
    asking.start()
    call_command("a2a_grpc", port=port)
    asking.join(SECONDS)
    assert seen == [health_pb2.HealthCheckResponse.SERVING]


@pytest.mark.parametrize(
    ("url", "public_url", "problems"),
    [
        ("", "", 0),
        ("agents.example.com:50051", "https://example.com", 0),
        ("[2001:db8::1]:50051", "https://example.com", 0),
        ("dns:///agents.example.com:443", "https://example.com", 0),
        ("https://agents.example.com:443", "https://example.com", 1),
        ("agents.example.com", "", 2),
    ],
)
def test_a_check_finds_what_clients_cannot_dial(
    a2a: ChangeSettings, url: str, public_url: str, problems: int
) -> None:
    a2a(GRPC_URL=url, PUBLIC_URL=public_url)
    assert [each.id for each in check_grpc()] == ["a2a.W039"] * problems


def test_it_needs_the_public_url(a2a: ChangeSettings) -> None:
    a2a(PUBLIC_URL="")
    with pytest.raises(CommandError, match="Set A2A\\['PUBLIC_URL'\\]"):
        call_command("a2a_grpc")


def test_a_certificate_needs_its_key(a2a: ChangeSettings) -> None:
    a2a(PUBLIC_URL="https://agents.example.com")
    with pytest.raises(CommandError, match="need each other"):
        call_command("a2a_grpc", tls_certificate=Path("chain.pem"))


def test_a_port_that_is_taken_is_refused(a2a: ChangeSettings, transactional_db: None) -> None:
    a2a(PUBLIC_URL="https://agents.example.com")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match="Cannot listen at"):
            call_command("a2a_grpc", port=port)
