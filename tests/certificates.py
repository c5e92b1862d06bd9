"""Certificates made by the tests, with authorities of their own; as proxies pass them on."""

from base64 import b64encode
from datetime import timedelta
from functools import cache
from pathlib import Path
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from django.utils import timezone

PEM = serialization.Encoding.PEM
DAY = timedelta(days=1)


@cache
def key(name: str) -> ec.EllipticCurvePrivateKey:
    """Make the key of somebody, once."""
    return ec.generate_private_key(ec.SECP256R1())


def certificate(
    subject: str,
    *names: x509.GeneralName,
    issuer: str = "authority",
    valid: timedelta = DAY,
    is_authority: bool = False,
) -> x509.Certificate:
    """Issue a certificate; without a subject where that is empty, and expired if `valid` is so."""
    now = timezone.now()
    made = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key(subject).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 2 * DAY)
        .not_valid_after(now + valid)
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
    )
    if names:
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return made.sign(key(issuer), SHA256())


def authority(name: str = "authority") -> x509.Certificate:
    """Issue an authority's certificate for itself."""
    return certificate(name, issuer=name, is_authority=True)


def _name(common_name: str) -> x509.Name:
    named = [(NameOID.ORGANIZATION_NAME, "Example"), (NameOID.COMMON_NAME, common_name)]
    return x509.Name([x509.NameAttribute(*each) for each in named] if common_name else [])


def as_pem(made: x509.Certificate) -> str:
    """Return a certificate as text."""
    return made.public_bytes(PEM).decode()


def key_pem(name: str) -> bytes:
    """Return the private key of somebody, as PEM."""
    return key(name).private_bytes(
        PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def from_nginx(made: x509.Certificate) -> str:
    """Return a certificate as nginx has it in `$ssl_client_escaped_cert`."""
    return quote(as_pem(made), safe="")


def by_rfc_9440(made: x509.Certificate) -> str:
    """Return a certificate as RFC 9440 has it."""
    der = made.public_bytes(serialization.Encoding.DER)
    return f":{b64encode(der).decode()}:"


def from_envoy(made: x509.Certificate) -> str:
    """Return a certificate as Envoy has it, with other details beside it."""
    subject = r'Subject="CN=ann,O=\"Example\""'
    return f'By=spiffe://mesh/server;Hash=00ff;Cert="{from_nginx(made)}";{subject};URI=spiffe://mesh/ann'


def write(folder: Path, name: str, made: x509.Certificate) -> dict[str, Path]:
    """Write a certificate and its key; return their paths, by what TLS calls them."""
    [attribute] = made.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    private = key_pem(str(attribute.value))
    paths = {"certfile": folder / f"{name}.pem", "keyfile": folder / f"{name}.key"}
    paths["certfile"].write_text(as_pem(made))
    paths["keyfile"].write_bytes(private)
    return paths
