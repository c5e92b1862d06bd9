"""CertificateAuth: the authenticator that knows callers by certificates that were verified.

A proxy that ends TLS passes the certificate on in a header, which anybody could send who reaches
the server directly. So it is believed only of a request that proves to come from the proxy. A
server that ends TLS itself, such as ours of gRPC, has it from the connection.
"""

import hmac
from ipaddress import ip_address, ip_network
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest

from a2a_app.authentication.client_certificate import ClientCertificate, read_certificate
from a2a_app.operations.call import CallerName
from a2a_app.protocol import MutualTlsSecurityScheme, SecurityScheme

MIN_SECRET_CHARACTERS = 20
VERIFIED = "SUCCESS"


class CertificateAuth:
    """Authenticates by the client certificate of mutual TLS. Subclass it.

    It needs `proxies`, `secret` or `from_connection`, or several. Without a certificate, or where
    the proxy's identity is not proved, the request is left to the authenticators that follow.
    """

    ambient: ClassVar[bool] = True
    """Whether a browser may send the credentials with requests of other sites' pages too."""
    proxies: ClassVar[tuple[str, ...]] = ()
    """The addresses of the proxy, or networks, as in `10.0.0.0/8`. They prove nothing where the
    server takes the address of a request from a header, as daphne does with `--proxy-headers`.
    Empty: any address."""
    secret: ClassVar[str] = ""
    """What the proxy, and nobody else, sends in `secret_header`. Empty: nothing."""
    secret_header: ClassVar[str] = "X-Proxy-Secret"  # noqa: S105  # the name of a header
    """The header with the secret."""
    header: ClassVar[str] = "Client-Cert"
    """The header with the certificate: as RFC 9440 has it, as nginx's `$ssl_client_escaped_cert`,
    or Envoy's `X-Forwarded-Client-Cert`."""
    verify_header: ClassVar[str] = ""
    """The header that is `SUCCESS` where the proxy has verified the certificate, as nginx's
    `$ssl_client_verify`. Empty: the proxy passes on no other certificates."""
    from_connection: ClassVar[bool] = False
    """Whether the certificate is that of the connection, where the server has verified one, as
    `a2a_grpc --client-ca` does. Not for servers behind a proxy that shows its own certificate."""
    security_scheme = SecurityScheme(mtls_security_scheme=MutualTlsSecurityScheme())

    def __init__(self) -> None:
        """Check the attributes; raise ImproperlyConfigured where nothing proves the proxy."""
        name = type(self).__name__
        self._has_proxy = bool(self.proxies or self.secret)
        if not self._has_proxy and not self.from_connection:
            raise ImproperlyConfigured(
                f"{name} would believe anybody: it needs the proxies' addresses, or a secret of "
                f"{MIN_SECRET_CHARACTERS} characters or more, or `from_connection`."
            )
        if not self.proxies and self.secret and len(self.secret) < MIN_SECRET_CHARACTERS:
            raise ImproperlyConfigured(
                f"{name} needs a secret of {MIN_SECRET_CHARACTERS} characters or more."
            )
        try:
            self._networks = [ip_network(each) for each in self.proxies]
        except ValueError as error:
            raise ImproperlyConfigured(f"proxies of {name}: {error}") from None

    def __call__(self, request: HttpRequest) -> Any | None:
        """Return the caller whom the certificate names; None if there is none to be believed."""
        certificate = read_certificate(self._of_connection(request) or self._of_proxy(request))
        return None if certificate is None else self.identity_of(certificate)

    def identity_of(self, certificate: ClientCertificate) -> Any | None:
        """Return the caller whom a certificate names, as an authenticator does. Override it.

        By itself it is a name, made of the issuer and the subject: it stays the same when the
        certificate is renewed. One without a subject names nobody.
        """
        if not certificate.subject:
            return None
        return CallerName(f"{certificate.issuer} {certificate.subject}")

    def _of_connection(self, request: HttpRequest) -> str:
        """Return the certificate of the connection, in PEM; empty if there is none."""
        if not self.from_connection or request.META.get("SSL_CLIENT_VERIFY") != VERIFIED:
            return ""
        return str(request.META.get("SSL_CLIENT_CERT", ""))

    def _of_proxy(self, request: HttpRequest) -> str:
        """Return the certificate in the header; empty if there is none to be believed."""
        if not self._has_proxy or not self._comes_from_proxy(request):
            return ""
        if self.verify_header and only_header(request, self.verify_header) != VERIFIED:
            return ""
        return only_header(request, self.header)

    def _comes_from_proxy(self, request: HttpRequest) -> bool:
        if self.proxies and not self._is_proxy(request.META.get("REMOTE_ADDR") or ""):
            return False
        sent = only_header(request, self.secret_header) if self.secret else ""
        return hmac.compare_digest(sent.encode(), self.secret.encode())

    def _is_proxy(self, address: str) -> bool:
        try:
            parsed: Any = ip_address(address)
        except ValueError:
            return False
        # A server that listens on IPv6 has the IPv4 addresses of its clients in this form.
        parsed = getattr(parsed, "ipv4_mapped", None) or parsed
        return any(parsed in network for network in self._networks)


def only_header(request: HttpRequest, name: str) -> str:
    """Return the value of a header; empty if there is none, or more than one.

    In Django, `Client_Cert` may be the same header as `Client-Cert`, and a proxy that overwrites
    one may pass on the other. So the names are read as they came, where the server has them.
    """
    scope = getattr(request, "scope", None)
    if scope is None:
        value: str = request.META.get(f"HTTP_{name.upper().replace('-', '_')}", "")
        return value
    wanted = name.lower().encode()
    found = [value for key, value in scope["headers"] if key.lower() == wanted]
    return found[0].decode("latin-1").strip() if len(found) == 1 else ""
