"""The load agent served by the official SDK over gRPC, beside its HTTP server of `sdk_server`.

SDK_DATABASE_URL=… python -m benchmarks.sdk_grpc_server <port>
"""

import asyncio
import sys

import grpc
from a2a.server.request_handlers import GrpcHandler
from a2a.types.a2a_pb2_grpc import add_A2AServiceServicer_to_server
from starlette.applications import Starlette

from benchmarks.sdk_server import handler, lifespan


async def serve(port: int) -> None:
    """Serve until the process is ended."""
    async with lifespan(Starlette()):
        server = grpc.aio.server()
        add_A2AServiceServicer_to_server(GrpcHandler(handler), server)  # type: ignore[no-untyped-call]  # it has no types
        server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
