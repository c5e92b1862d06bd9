"""What `manage.py a2a_doctor` says of the gRPC interface that a card lists."""

from typing import Any

import grpc
import httpx
import pytest
from cryptography import x509

from a2a_app.bindings.grpc.server import Certificate, GrpcServer
from a2a_app.management.doctor.grpc_interface import examine_grpc
from a2a_app.management.doctor.site import SiteExamination
from a2a_app.protocol import AgentInterface
from tests.bindings.users import TOKEN
from tests.certificates import as_pem, authority, certificate, key_pem
from tests.conftest import ChangeSettings
from tests.servers import free_port
from tests.threads import in_thread

WELL = {"gRPC TLS": "note", "gRPC health": "good", "gRPC": "good", "gRPC reflection": "good"}


async def levels(url: str, key: str = "") -> dict[str, str]:
    """Return what is found at a URL: the level of each subject."""
    interface = AgentInterface(
        url=url, protocol_binding="GRPC", protocol_version="1.0", tenant="load"
    )
    # In a thread: the server is on this event loop.
    found = await in_thread(lambda: list(examine_grpc(interface, key)))
    return {each.subject: each.level for each in found}


async def test_a_server_that_is_well_is_said_to_be(server: GrpcServer) -> None:
    assert await levels(f"127.0.0.1:{server.port}") == WELL


async def test_strangers_are_refused_and_so_is_a_key_that_is_wrong(
    a2a: ChangeSettings, server: GrpcServer
) -> None:
    a2a(ANONYMOUS="refuse", AUTHENTICATION=["tests.bindings.users.ByBearer"])
    url = f"127.0.0.1:{server.port}"
    assert await levels(url) == await levels(url, TOKEN) == WELL
    assert await levels(url, "wrong") == WELL | {"gRPC": "fault"}


async def test_a_certificate_is_verified(
    a2a: ChangeSettings, runtime: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    a2a(PUBLIC_URL="https://agents.example.com")
    shown = as_pem(certificate("server", x509.DNSName("localhost"))).encode()
    server = GrpcServer("127.0.0.1", 0, Certificate(shown, key_pem("server")))
    await server.start()
    url = f"localhost:{server.port}"
    assert await levels(url) == {"gRPC": "fault"}
    (tmp_path / "ca.pem").write_text(as_pem(authority()))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert await levels(url) == WELL | {"gRPC TLS": "good"}
    await server.end()


async def test_what_is_not_there_is_said_to_be_missing() -> None:
    assert await levels(f"127.0.0.1:{free_port()}") == {"gRPC": "fault"}
    other = grpc.aio.server()
    port = other.add_insecure_port("127.0.0.1:0")
    await other.start()
    assert await levels(f"127.0.0.1:{port}") == {
        "gRPC TLS": "note", "gRPC health": "warning", "gRPC": "fault", "gRPC reflection": "note",
    }  # fmt: skip  # as one table
    await other.stop(None)


def test_the_card_of_a_site_leads_there() -> None:
    url = f"127.0.0.1:{free_port()}"
    listed = {
        "JSONRPC": "https://agents.example.com/a2a/load/",
        "urn:a2a-app:websocket:v1": "wss://agents.example.com/a2a/load/",
        "GRPC": url,
    }
    interfaces = [
        {"url": url, "protocolBinding": binding, "protocolVersion": "1.0"}
        for binding, url in listed.items()
    ]
    card = {"name": "Load", "description": "Works.", "version": "1", "capabilities": {}}
    modes: dict[str, Any] = {"defaultInputModes": [], "defaultOutputModes": [], "skills": []}
    shown = {**card, **modes, "supportedInterfaces": interfaces}
    site = httpx.MockTransport(lambda _: httpx.Response(200, json=shown))
    with httpx.Client(transport=site) as client:
        found = list(SiteExamination(client, "https://agents.example.com").findings())
    assert "URLs" not in {each.subject for each in found}
    [of_grpc] = [each for each in found if each.subject == "gRPC"]
    assert of_grpc.text.startswith(f"Nobody answers at {url}: ")
