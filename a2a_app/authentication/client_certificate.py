"""ClientCertificate: a certificate that a client has shown, and what it says of the client."""

import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from django.utils import timezone

# One element of X-Forwarded-Client-Cert, which is Envoy's: names and values, some of them quoted.
_PAIR = r'(\w+)=("(?:[^"\\]|\\.)*"|[^",;]*)'
_ELEMENT = re.compile(rf"{_PAIR}(?:;{_PAIR})*")
_PEM = "-----BEGIN"
# What the library raises for a certificate that is none, or that it does not understand.
_FAULTS = (
    ValueError,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A client's certificate. Names are as its authority has written them."""

    subject: str
    """The subject's distinguished name, as in RFC 4514: `CN=ann,O=Example`. It may be empty."""
    issuer: str
    """The distinguished name of the authority that issued it."""
    common_name: str
    """The common name of the subject; empty if it has none, or more than one."""
    dns_names: tuple[str, ...]
    """The host names among the subject's alternative names."""
    emails: tuple[str, ...]
    """The addresses of e-mail among them."""
    uris: tuple[str, ...]
    """The URIs among them, such as a SPIFFE ID."""
    fingerprint: str
    """The SHA-256 of the certificate, in lower-case hexadecimal digits."""


def read_certificate(value: str) -> ClientCertificate | None:
    """Return the certificate in the header of a proxy; None if it is none, or not valid now.

    The proxy has verified it. But a connection may outlast its certificate, and a stream does.
    """
    try:
        certificate = _parse(value)
        now = timezone.now()
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            return None
        return _describe(certificate)
    except _FAULTS:
        return None


def _parse(value: str) -> x509.Certificate:
    if value.startswith(":") and value.endswith(":"):  # RFC 9440, section 2.1
        return x509.load_der_x509_certificate(b64decode(value[1:-1], validate=True))
    if not value.startswith(_PEM):
        value = _only_certificate(value)
    return x509.load_pem_x509_certificate(unquote(value).encode())


def _only_certificate(value: str) -> str:
    """Return the certificate in an X-Forwarded-Client-Cert; raise ValueError.

    Each proxy on the way may add an element. Of several it is unknown which ones to believe.
    """
    if _ELEMENT.fullmatch(value) is None:
        raise ValueError("The header has several elements, or another form.")
    found = [text for name, text in re.findall(_PAIR, value) if name.lower() == "cert"]
    if len(found) != 1:
        raise ValueError("The header has no certificate, or several.")
    return str(found[0]).strip('"')


def _describe(certificate: x509.Certificate) -> ClientCertificate:
    common_names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    names = list(_alternative_names(certificate))
    return ClientCertificate(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        common_name=str(common_names[0].value) if len(common_names) == 1 else "",
        dns_names=tuple(each.value for each in names if isinstance(each, x509.DNSName)),
        emails=tuple(each.value for each in names if isinstance(each, x509.RFC822Name)),
        uris=tuple(
            each.value for each in names if isinstance(each, x509.UniformResourceIdentifier)
        ),
        fingerprint=certificate.fingerprint(SHA256()).hex(),
    )


def _alternative_names(certificate: x509.Certificate) -> Iterator[x509.GeneralName]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return
    yield from extension.value
