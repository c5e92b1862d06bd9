"""The call of a request: its body, its headers and its service parameters (section 3.2.6)."""

import zlib
from collections.abc import Collection
from functools import partial
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest
from django.utils.http import parse_header_parameters
from pydantic_core import from_json

from a2a_app import conf, protocol
from a2a_app.agents import Agent
from a2a_app.bindings.dialects import Dialect
from a2a_app.bindings.interfaces import base_url, served_to
from a2a_app.bindings.reauthentication import guard_of
from a2a_app.bindings.tenants import resolve
from a2a_app.operations.call import Call, Caller, activated_extensions

# JSON in ASCII is JSON in UTF-8.
CHARSETS = ("utf-8", "utf8", "us-ascii", "ascii")
MARK = b"\xef\xbb\xbf"
# The byte-order marks of UTF-16 and UTF-32. Without one, a character of ASCII has zeros around it.
OTHER_MARKS = (b"\xff\xfe", b"\xfe\xff")
# How much of a client's words an error repeats.
MAX_REPEATED_CHARACTERS = 100
# Each one copies all that is left: tens of thousands of tiny ones would take minutes.
MAX_MEMBERS = 16
_GZIP = zlib.MAX_WBITS + 16


class BodyTooLargeError(protocol.InvalidRequestError):
    """The request is too large."""

    http_status = 413


class MediaTypeError(protocol.InvalidRequestError):
    """The request is of a media type, a charset or an encoding that is not read here."""

    http_status = 415


def read_json(request: HttpRequest) -> Any:
    """Read the body of a request as JSON.

    Raises:
        JSONParseError: It is no JSON.
        MediaTypeError: It is in another charset than UTF-8, or packed in another way than gzip.
        BodyTooLargeError: It has more than `MAX_BODY_BYTES` bytes, packed or unpacked.
        InvalidRequestError: It cannot be unpacked.
    """
    return _parse(_read(request))


def read_json_object(request: HttpRequest, media_types: Collection[str]) -> dict[str, Any]:
    """Read the body of a request as a JSON object; no body, or null, is an empty object.

    The errors are those of `read_json`, and:

    Raises:
        MediaTypeError: Its type is none of `media_types`.
        InvalidRequestError: It is no object.
    """
    # Checked for an empty body too. A browser lets a page of another site send a form, with the
    # cookies of its reader, but no other media type.
    if request.content_type and request.content_type not in media_types:
        raise MediaTypeError(f"The Content-Type must be one of {', '.join(media_types)}.")
    body = _read(request)
    value = _parse(body) if body else None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise protocol.InvalidRequestError("The body must be one JSON object.")
    return value


def with_known_charset(scope: Any) -> Any:
    """Return the scope of a request without a charset that Python does not know.

    Django reads the parameters of the Content-Type before it has a request, and raises where one of
    them is in such a charset, as in `charset*=BOGUS''x`. The view refuses what is put in its place.
    """
    for name, value in scope["headers"]:
        if name == b"content-type" and b"*" in value:
            try:
                parse_header_parameters(value.decode("latin-1"))
            except (LookupError, ValueError):  # by the version of Django
                media_type = value.partition(b";")[0]
                headers = [header for header in scope["headers"] if header[0] != name]
                headers.append((name, media_type + b"; charset=unknown"))
                return {**scope, "headers": headers}
    return scope


def _read(request: HttpRequest) -> bytes:
    limit = conf.current().max_body_bytes
    # Read as a file: `request.body` is limited by DATA_UPLOAD_MAX_MEMORY_SIZE, which is for forms.
    body = request.read(limit + 1)
    # Django holds the request, and with it this file, for as long as a stream is open (R14).
    request._stream.close()
    _check_size(body, limit)
    coding = request.META.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if coding in ("gzip", "x-gzip"):
        body = _unpacked(body, limit) if body else body
    elif coding not in ("", "identity"):
        coding = coding[:MAX_REPEATED_CHARACTERS]
        raise MediaTypeError(f"The Content-Encoding {coding!r} is not read here, apart from gzip.")
    _check_charset(request, body)
    return body.removeprefix(MARK)


def _check_size(body: bytes, limit: int) -> None:
    if len(body) > limit:
        raise BodyTooLargeError(f"The request is larger than {limit} bytes.")


def _unpacked(packed: bytes, limit: int) -> bytes:
    """Unpack the members of a gzip file, and stop once they are too large."""
    body = b""
    for _ in range(MAX_MEMBERS):
        member = zlib.decompressobj(_GZIP)
        try:
            body += member.decompress(packed, limit + 1 - len(body))
        except zlib.error as error:
            raise protocol.InvalidRequestError(f"The body is no gzip: {error}.") from None
        _check_size(body, limit)
        if not member.eof:
            raise protocol.InvalidRequestError("The body is no gzip: it breaks off.")
        packed = member.unused_data
        if not packed:
            return body
    raise protocol.InvalidRequestError(f"The gzip has more than {MAX_MEMBERS} members.")


def _check_charset(request: HttpRequest, body: bytes) -> None:
    charset = (request.content_params or {}).get("charset", "")
    if charset and charset.lower() not in CHARSETS:
        charset = charset[:MAX_REPEATED_CHARACTERS]
        raise MediaTypeError(f"The charset {charset!r} is not read here. JSON is in UTF-8.")
    if body.startswith(OTHER_MARKS) or (b"\x00" in body[:4] and len(body) >= 4):
        raise MediaTypeError("The body looks like UTF-16 or UTF-32. JSON is in UTF-8.")


def _parse(body: bytes) -> Any:
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise protocol.JSONParseError(f"Invalid JSON payload: {error}") from None


async def call_of(
    request: HttpRequest, agent: Agent, caller: Caller, dialect: Dialect, given: dict[str, Any]
) -> Call:
    """Return the call that a request makes.

    Args:
        request: The request.
        agent: The agent of its URL. A tenant may have another one.
        caller: The caller.
        dialect: The dialect of the version that the client asks for.
        given: The parameters in JSON of 1.0, not checked yet.

    Raises:
        A2AError: The agent cannot serve the call.
    """
    asked, tenant, tenant_key, served_at = agent, "", "", partial(served_to, request, agent)
    if conf.current().tenant_resolver or caller.names_tenants:
        tenant = dialect.tenant(given)
        served_at = partial(served_at, tenant=tenant)
        agent, tenant_key = await resolve(request, agent, tenant, caller.grant)
    return Call(
        agent=agent,
        caller=caller,
        tenant=tenant,
        tenant_key=tenant_key,
        extensions=activated_extensions(agent, requested_extensions(request)),
        last_event_id=header(request, "Last-Event-ID"),
        idempotency_key=header(request, protocol.IDEMPOTENCY_HEADER).strip(),
        push_payload=dialect.push_payload,
        may_cancel_again=dialect.may_cancel_again,
        stays_while_waiting=dialect.stays_while_waiting,
        can_stream=not isinstance(request, WSGIRequest),
        served_at=served_at,
        base_url=partial(base_url, request),
        guard=partial(guard_of, request, asked, agent, caller, tenant, tenant_key),
    )


def header(request: HttpRequest, name: str) -> str:
    """Return a header of a request, empty if it has none.

    `request.headers` would make a mapping of all headers, which takes longer than all we do with
    the few that we need.
    """
    value: str = request.META.get(f"HTTP_{name.upper().replace('-', '_')}", "")
    return value


def requested_extensions(request: HttpRequest) -> list[str]:
    """Return the URIs of the extensions that the client wants to use."""
    names = (protocol.EXTENSIONS_HEADER, protocol.EXTENSIONS_HEADER_03)
    uris = ",".join([header(request, name) for name in names]).split(",")
    return [uri.strip() for uri in uris if uri.strip()]


def named_version(request: HttpRequest) -> str:
    """Return the version that a request names in a header or in its query (section 3.6).

    Returns:
        `major.minor`, without a patch number; a value that is no version as it is; empty if the
        request names none.
    """
    name = protocol.VERSION_HEADER
    named = (header(request, name) or request.GET.get(name) or "").strip()
    numbers = named.split(".")
    if len(numbers) == 3 and all(number.isdecimal() for number in numbers):
        return ".".join(numbers[:2])
    return named


def version_of(request: HttpRequest, *, implied: str) -> str:
    """Return the version that a request asks for (section 3.6.2).

    Args:
        request: The request, which may name a version in a header or in its query.
        implied: The version of the method or the URL, which counts if the request names none.

    Raises:
        VersionNotSupportedError: This version is not served here.
    """
    version = named_version(request) or implied
    versions = conf.current().protocol_versions
    if version not in versions:
        raise protocol.VersionNotSupportedError(
            f"Version {version[:20]!r} is not served here. Name one of {', '.join(versions)} in "
            f"the header {protocol.VERSION_HEADER}.",
            requested=version[:20],
            supported=", ".join(versions),
        )
    return version
