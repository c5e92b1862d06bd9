"""Client certificates behind a proxy: which of them are believed, and of whom."""

from io import BytesIO
from typing import Any

import pytest
from cryptography.x509 import DNSName, RFC822Name, UniformResourceIdentifier
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

from a2a_app.authentication.certificates import CertificateAuth
from a2a_app.authentication.client_certificate import read_certificate
from tests.bindings import authenticators
from tests.certificates import (
    DAY,
    as_pem,
    by_rfc_9440,
    certificate,
    from_envoy,
    from_nginx,
)
from tests.clients.json_rpc import JsonRpcClient, error_of
from tests.conftest import ChangeSettings

SECRET = "only the proxy knows this"
ANN = certificate("ann")
NAME = "CN=authority,O=Example CN=ann,O=Example"


class Proved(CertificateAuth):
    """Believes a proxy that knows the secret."""

    secret = SECRET
    header = "X-Client-Cert"
    verify_header = "X-Client-Verify"


class Near(CertificateAuth):
    """Believes the proxies of a network."""

    proxies = ("10.0.0.0/8", "2001:db8::1")


def request(address: str = "10.1.2.3", **headers: str) -> HttpRequest:
    made = HttpRequest()
    named = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    made.META = {"REMOTE_ADDR": address, **named}
    return made


@pytest.mark.parametrize("form", [from_nginx, by_rfc_9440, from_envoy])
def test_a_certificate_names_its_caller_in_the_form_of_each_proxy(form: Any) -> None:
    assert Near()(request(client_cert=form(ANN))) == NAME


def test_a_renewed_certificate_names_the_same_caller() -> None:
    assert Near()(request(client_cert=by_rfc_9440(certificate("ann")))) == NAME
    other = certificate("ann", issuer="other")
    assert Near()(request(client_cert=by_rfc_9440(other))) not in (NAME, None)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "CN=ann",
        "::",
        ":bm9uZQ==:",
        "-----BEGIN CERTIFICATE-----",
        from_nginx(ANN).replace("M", "N"),
        by_rfc_9440(ANN) + "," + by_rfc_9440(ANN),
        from_envoy(ANN) + "," + from_envoy(certificate("bob")),
        from_envoy(ANN).replace("By=", f'Cert="{from_nginx(ANN)}";By='),
        from_envoy(ANN).replace("Cert=", "Chain="),
        by_rfc_9440(certificate("ann", valid=-DAY)),
        by_rfc_9440(certificate("")),
    ],
)
def test_whatever_is_no_valid_certificate_with_a_subject_names_nobody(value: str) -> None:
    assert Near()(request(client_cert=value)) is None


@pytest.mark.parametrize(
    ("address", "is_believed"),
    [
        ("10.255.0.1", True),
        ("2001:db8::1", True),
        ("::ffff:10.0.0.1", True),
        ("11.0.0.1", False),
        ("2001:db8::2", False),
        ("", False),
        ("unix:", False),
    ],
)
def test_a_header_is_believed_of_the_proxies_only(address: str, is_believed: bool) -> None:
    found = Near()(request(address, client_cert=from_nginx(ANN)))
    assert found == (NAME if is_believed else None)


@pytest.mark.parametrize(
    ("proof", "is_believed"),
    [
        ({"x_proxy_secret": SECRET, "x_client_verify": "SUCCESS"}, True),
        ({"x_client_verify": "SUCCESS"}, False),
        ({"x_proxy_secret": SECRET[:-1], "x_client_verify": "SUCCESS"}, False),
        ({"x_proxy_secret": SECRET, "x_client_verify": "FAILED:unable to verify"}, False),
        ({"x_proxy_secret": SECRET}, False),
    ],
)
def test_a_proxy_proves_itself_by_the_secret_and_says_that_it_has_verified(
    proof: dict[str, str], is_believed: bool
) -> None:
    found = Proved()(request(x_client_cert=from_nginx(ANN), **proof))
    assert found == (NAME if is_believed else None)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"secret": "short"},
        {"secret": "short", "from_connection": True},
        {"proxies": ("10.0.0.0/33",)},
        {"proxies": ("proxy.example",)},
    ],
)
def test_one_that_would_believe_anybody_is_refused(attributes: dict[str, Any]) -> None:
    with pytest.raises(ImproperlyConfigured):
        type("Careless", (CertificateAuth,), attributes)()


def test_that_of_a_connection_is_believed_where_the_server_has_verified_it() -> None:
    pem = as_pem(ANN)
    for attributes, verified, is_believed in (
        ({"from_connection": True}, "SUCCESS", True),
        ({"from_connection": True}, "FAILED:unable to verify", False),
        ({"from_connection": True}, "", False),
        ({"proxies": ("10.0.0.0/8",)}, "SUCCESS", False),
    ):
        asked = type("Asked", (CertificateAuth,), attributes)()
        made = request()
        made.META |= {"SSL_CLIENT_CERT": pem, "SSL_CLIENT_VERIFY": verified}
        assert asked(made) == (NAME if is_believed else None)
    only_connections = type("Asked", (CertificateAuth,), {"from_connection": True})()
    assert only_connections(request(client_cert=from_nginx(ANN))) is None


def test_what_a_certificate_says_is_there_for_the_project() -> None:
    names = (DNSName("a.example"), RFC822Name("a@b.example"), UniformResourceIdentifier("spiffe:a"))
    made = certificate("", *names)
    said = read_certificate(by_rfc_9440(made))
    assert said is not None
    assert (said.subject, said.common_name, said.issuer) == ("", "", "CN=authority,O=Example")
    assert (said.dns_names, said.emails, said.uris) == (
        ("a.example",),
        ("a@b.example",),
        ("spiffe:a",),
    )
    assert len(said.fingerprint) == 64


async def test_a_project_decides_who_the_caller_is_and_the_card_says_what_is_wanted(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(ANONYMOUS="refuse", AUTHENTICATION=[f"{authenticators.__name__}.ByCertificate"])
    await User.objects.acreate(username="ann")
    shown = {"Client_Cert": from_nginx(ANN)}
    assert (await rpc.call("ListTasks", {}, **shown))["result"]["totalSize"] == 0
    await User.objects.aupdate(is_active=False)
    assert error_of(await rpc.call("ListTasks", {}, **shown)) == (-32050, "UNAUTHENTICATED")
    card = (await rpc.http.get("/a2a/load/.well-known/agent-card.json")).json()
    both = {"mtlsSecurityScheme": {}, "type": "mutualTLS"}
    assert card["securitySchemes"] == {"ByCertificate": both}
    assert card["securityRequirements"] == [{"schemes": {"ByCertificate": {}}}]
    assert card["security"] == [{"ByCertificate": []}]


@pytest.mark.parametrize(
    ("names", "is_believed"),
    [
        ([b"client-cert"], True),
        ([b"Client-Cert"], True),
        ([b"client_cert"], False),
        ([b"client-cert", b"client-cert"], False),
        # As behind a proxy that overwrites the one and passes on the other.
        ([b"client-cert", b"client_cert"], True),
    ],
)
def test_a_header_is_believed_in_its_own_spelling_and_once(
    names: list[bytes], is_believed: bool
) -> None:
    others = from_nginx(certificate("bob")).encode()
    headers = [(name, others if b"_" in name else from_nginx(ANN).encode()) for name in names]
    scope = {"type": "http", "path": "/", "method": "GET", "headers": headers}
    made = ASGIRequest({**scope, "client": ["10.1.2.3", 1]}, BytesIO())
    assert Near()(made) == (NAME if is_believed else None)
