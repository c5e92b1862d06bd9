"""The request of a call over gRPC: one of Django's, for all that reads the requests of HTTP.

So authenticators, the resolver of tenants and the project's other hooks need to know nothing of
gRPC. No middleware sees it: it has no session, and its user is nobody.
"""

from io import BytesIO
from typing import Any
from urllib.parse import unquote

from django.contrib.auth.models import AnonymousUser
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

AGENT_KEY = "a2a-agent"
"""The key of metadata that names an agent, by its slug."""
# They say how HTTP/2 carries the call, and nothing of the JSON that hooks would expect of them.
_OF_THE_TRANSPORT = ("content-encoding", "content-length", "content-type", "host")


def request_of(method: str, context: Any) -> HttpRequest:
    """Return the request of a call.

    Args:
        method: The path of the method, such as `/lf.a2a.v1.A2AService/GetTask`.
        context: What grpc knows of the call. Its metadata become headers, apart from binary ones.
            A certificate of the client is in `META`, under the names that web servers give it,
            which no metadata can have.
    """
    connection = context.auth_context()
    headers = [
        (key.encode(), value.encode("latin-1", "replace"))
        for key, value in context.invocation_metadata() or ()
        if isinstance(value, str) and key not in _OF_THE_TRANSPORT
    ]
    scope = {
        "type": "http",
        "method": "POST",
        "path": method,
        "scheme": "https" if b"ssl" in connection.get("transport_security_type", ()) else "http",
        "headers": headers,
        "query_string": b"",
        "client": _address(context.peer()),
    }
    request: Any = ASGIRequest(scope, BytesIO())
    for certificate in connection.get("x509_pem_cert", ()):  # grpc has verified it
        request.META |= {"SSL_CLIENT_CERT": certificate.decode(), "SSL_CLIENT_VERIFY": "SUCCESS"}
    request.user = AnonymousUser()
    request.auser = _nobody
    return request  # type: ignore[no-any-return]  # it is a subclass


async def _nobody() -> AnonymousUser:
    return AnonymousUser()


def _address(peer: str) -> tuple[str, int]:
    """Return the address and the port in `ipv4:192.0.2.1:50000` or `ipv6:[::1]:50000`."""
    address, _, port = unquote(peer).partition(":")[2].rpartition(":")
    if not port.isdecimal():  # a socket in the file system has neither
        return "", 0
    return address.strip("[]"), int(port)
