"""The gRPC server inside the test's process, and a client of it."""

from collections.abc import AsyncIterator

import grpc
import pytest

from a2a_app.bindings.grpc.server import GrpcServer
from tests.clients.grpc import GrpcClient
from tests.conftest import ChangeSettings


@pytest.fixture
async def server(a2a: ChangeSettings, runtime: None) -> AsyncIterator[GrpcServer]:
    a2a(PUBLIC_URL="https://agents.example.com")
    server = GrpcServer("127.0.0.1", 0)
    await server.start()
    yield server
    await server.end()


@pytest.fixture
async def client(server: GrpcServer) -> AsyncIterator[GrpcClient]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield GrpcClient(channel)
