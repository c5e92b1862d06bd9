"""The server of gRPC: a process of its own, from its start to a graceful end."""

import asyncio
import logging
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from a2a_app import conf, health, runners
from a2a_app.bindings.grpc.calls import OpenCalls
from a2a_app.bindings.grpc.services import handler_of, served
from a2a_app.protocol.scalars import MAX_INT32
from a2a_app.runners.base import END_SECONDS

logger = logging.getLogger(__name__)

# How long a client has to answer a ping, before its connection counts as gone.
PING_SECONDS = 20

# How often a client may ask for one itself. Those of Java and Go ask each ten seconds at most, and
# half of it leaves room for a ping that was late. Without this, gRPC takes one in five minutes,
# and ends the connection at the third too many.
MIN_PING_SECONDS = 5.0

# How many calls a connection may have at once, where twice `STREAMS_PER_OWNER` is not more. gRPC
# has no limit, and each takes about 30 KB before its message has come.
MOST_CALLS = 1000


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with which the server shows who it is, in PEM, and its private key."""

    chain: bytes
    key: bytes
    client_ca: bytes | None = None
    """The certificates of the authorities whose clients may connect, each by a certificate of its
    own. None: everybody may."""


class GrpcServer:
    """A server on one event loop."""

    def __init__(self, host: str, port: int, certificate: Certificate | None = None) -> None:
        """Make a server that does not listen yet.

        Args:
            host: The address to listen at.
            port: The port. 0: one that is free.
            certificate: What TLS needs. None: calls are not encrypted.

        Raises:
            OSError: The port cannot be had.
        """
        self.calls = OpenCalls()
        self._health = health_aio.HealthServicer()
        self._server = grpc.aio.server(options=_options())
        names = [service.name for service in served()]
        self._server.add_generic_rpc_handlers(
            tuple(handler_of(service, self.calls) for service in served())
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            (
                *names,
                health_pb2.DESCRIPTOR.services_by_name["Health"].full_name,
                reflection.SERVICE_NAME,
            ),
            self._server,
        )
        self._services = ["", *names]
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            self.port = self._listen(address, certificate)
        except RuntimeError as error:  # grpc has no other
            raise OSError(f"Cannot listen at {address}: {error}") from None

    def _listen(self, address: str, certificate: Certificate | None) -> int:
        port: int
        if certificate is None:
            port = self._server.add_insecure_port(address)
        else:
            credentials = grpc.ssl_server_credentials(
                [(certificate.key, certificate.chain)],
                root_certificates=certificate.client_ca,
                require_client_auth=certificate.client_ca is not None,
            )
            port = self._server.add_secure_port(address, credentials)
        return port

    async def start(self) -> None:
        """Begin the background work, and take calls."""
        await runners.current().begin()
        await self._server.start()
        await self._tell_health()

    async def serve(self, stop: asyncio.Event) -> None:
        """Take calls until `stop` is set, and then end as `end` does."""
        await self.start()
        logger.info("gRPC listens on port %d.", self.port)
        while not stop.is_set():
            try:
                async with asyncio.timeout(conf.current().sweep_seconds):
                    await stop.wait()
            except TimeoutError:
                await self._tell_health()
        await self.end()

    async def end(self) -> None:
        """Take no more calls, and end those that are open.

        Streams end at once, for their clients to take up elsewhere. Turns have SHUTDOWN_SECONDS, as
        in any other process, and those who wait for one get its answer, or an error.
        """
        await self._health.enter_graceful_shutdown()
        # Calls that are still open after that are cut.
        grace = conf.current().shutdown_seconds + END_SECONDS
        stopped = asyncio.ensure_future(self._server.stop(grace))
        self.calls.end(streams_only=True)
        await runners.current().end()
        self.calls.end(streams_only=False)
        await stopped

    async def _tell_health(self) -> None:
        """Have the service of health say whether this process should get calls."""
        is_ready = (await health.readiness()).is_ready
        status = health_pb2.HealthCheckResponse
        for name in self._services:
            await self._health.set(name, status.SERVING if is_ready else status.NOT_SERVING)


def _options() -> list[tuple[str, int]]:
    current = conf.current()
    most = current.streams_per_owner
    return [
        ("grpc.max_receive_message_length", current.max_body_bytes),
        # Two processes at one port would each get some of the calls, and no error.
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_time_ms", int(current.keepalive_seconds * 1000)),
        ("grpc.keepalive_timeout_ms", PING_SECONDS * 1000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", int(MIN_PING_SECONDS * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.max_concurrent_streams", max(MOST_CALLS, 2 * most) if most else MAX_INT32),
    ]
