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

from project.services import free_port
from tests.conftest import ChangeSettings

SECONDS = 30


def end_once_it_serves(port: int, seen: list[Any]) -> None:
    """Ask for the health of the process's own server, and then ask the process to end."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        asked = health_pb2.HealthCheckRequest()
        # By then it has its handlers for signals.
        seen.append(stub.Check(asked, timeout=SECONDS, wait_for_ready=True).status)
    os.kill(os.getpid(), signal.SIGTERM)


def test_it_serves_until_it_is_asked_to_end(a2a: ChangeSettings, transactional_db: None) -> None:
    a2a(PUBLIC_URL="https://agents.example.com")
    seen: list[Any] = []
    port = free_port()
    asking = threading.Thread(target=end_once_it_serves, args=(port, seen))
    asking.start()
    call_command("a2a_grpc", port=port)
    asking.join(SECONDS)
    assert seen == [health_pb2.HealthCheckResponse.SERVING]


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
