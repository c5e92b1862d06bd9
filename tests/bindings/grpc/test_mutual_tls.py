"""Clients of gRPC that prove by a certificate who they are, in connections of mutual TLS."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from a2a.types import a2a_pb2 as pb
from cryptography import x509
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from a2a_app import models
from a2a_app.authentication import announce_change
from a2a_app.authentication.certificates import CertificateAuth
from a2a_app.authentication.client_certificate import ClientCertificate
from a2a_app.bindings.grpc.server import Certificate, GrpcServer
from tests.bindings.grpc.test_server import asked
from tests.certificates import as_pem, authority, certificate, key_pem
from tests.clients.grpc import GrpcClient, items_of, refused
from tests.conftest import ChangeSettings
from tests.wire import load_message, state

AUTHORITY = as_pem(authority()).encode()


class ByConnection(CertificateAuth):
    """Knows users by the common names in the certificates of their connections."""

    from_connection = True

    def identity_of(self, certificate: ClientCertificate) -> User | None:
        """Return the user."""
        return User.objects.filter(username=certificate.common_name, is_active=True).first()


@pytest.fixture
async def server(a2a: ChangeSettings, runtime: None) -> AsyncIterator[GrpcServer]:
    a2a(
        PUBLIC_URL="https://agents.example.com",
        ANONYMOUS="refuse",
        AUTHENTICATION=[f"{__name__}.ByConnection"],
        ACCESS_SECONDS=600,
    )
    shown = as_pem(certificate("server", x509.DNSName("localhost"))).encode()
    server = GrpcServer("127.0.0.1", 0, Certificate(shown, key_pem("server"), AUTHORITY))
    await server.start()
    yield server
    await server.end()


@asynccontextmanager
async def client_of(
    server: GrpcServer, name: str = "", issuer: str = "authority"
) -> AsyncIterator[GrpcClient]:
    """Connect with a certificate for a name, or with none."""
    chain = as_pem(certificate(name, issuer=issuer)).encode() if name else None
    credentials = grpc.ssl_channel_credentials(AUTHORITY, key_pem(name) if name else None, chain)
    async with grpc.aio.secure_channel(f"localhost:{server.port}", credentials) as channel:
        yield GrpcClient(channel)


@pytest.mark.slow
async def test_a_call_is_that_of_the_user_whom_the_certificate_names(server: GrpcServer) -> None:
    ann = await User.objects.acreate(username="ann")
    await User.objects.acreate(username="bob")
    async with client_of(server, "ann") as client, client_of(server, "bob") as other:
        await client.send(load_message(chunks=0))
        assert await models.Task.objects.filter(user=ann).acount() == 1
        stream = client.stream("SendStreamingMessage", asked(end="hang"))
        await anext(aiter(stream))
        others = other.stream("SendStreamingMessage", asked(end="hang"))
        task = (await anext(aiter(others))).task
        # Of two that are alike but for their certificates, one loses its access.
        await User.objects.filter(username="ann").aupdate(is_active=False)
        announce_change()
        assert (await refused(items_of(stream)))[0] == "UNAUTHENTICATED"
        assert (await refused(client.send(load_message())))[0] == "UNAUTHENTICATED"
        await other.call("CancelTask", pb.CancelTaskRequest(id=task.id))
        assert state((await items_of(others))[-1]) == "CANCELED"


async def test_who_shows_no_certificate_of_the_authority_is_not_connected(
    server: GrpcServer,
) -> None:
    for name, issuer in (("", ""), ("ann", "other")):
        async with client_of(server, name, issuer) as client:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await client.send(load_message())
            assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_metadata_are_no_certificate(a2a: ChangeSettings, runtime: None) -> None:
    a2a(
        PUBLIC_URL="https://agents.example.com",
        ANONYMOUS="refuse",
        AUTHENTICATION=[f"{__name__}.ByConnection"],
    )
    await User.objects.acreate(username="ann")
    plain = GrpcServer("127.0.0.1", 0)
    await plain.start()
    pem = "".join(as_pem(certificate("ann")).splitlines())
    said = {"client_cert": pem, "ssl_client_cert": pem, "ssl_client_verify": "SUCCESS"}
    async with grpc.aio.insecure_channel(f"127.0.0.1:{plain.port}") as channel:
        client = GrpcClient(channel, **said)
        assert (await refused(client.send(load_message())))[0] == "UNAUTHENTICATED"
    await plain.end()


def test_authorities_of_clients_need_tls(a2a: ChangeSettings) -> None:
    a2a(PUBLIC_URL="https://agents.example.com")
    with pytest.raises(CommandError, match="--client-ca needs --tls-certificate"):
        call_command("a2a_grpc", client_ca=Path("clients.pem"))
