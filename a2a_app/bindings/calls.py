"""The call of a request: its body, its headers and its service parameters (section 3.2.6)."""

from functools import partial
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest
from django.utils.http import parse_header_parameters
from pydantic_core import from_json

from a2a_app import conf, logs, protocol, telemetry
from a2a_app.agents import Agent
from a2a_app.bindings.callers import caller_of
from a2a_app.bindings.dialects import Dialect
from a2a_app.bindings.expansion import BodyTooLargeError, check_values, unpacked
from a2a_app.bindings.hand_on import handed_on_of
from a2a_app.bindings.interfaces import base_url, served_to
from a2a_app.bindings.origins import check_origin
from a2a_app.bindings.reauthentication import guard_of
from a2a_app.bindings.tenants import resolve
from a2a_app.bindings.wsgi import body_of
from a2a_app.models.owners import owner_in
from a2a_app.operations.call import Call, Caller, activated_extensions
from a2a_app.operations.generations import URI, Generations

# JSON in ASCII is JSON in UTF-8.
CHARSETS = ("utf-8", "utf8", "us-ascii", "ascii")
MARK = b"\xef\xbb\xbf"
# The byte-order marks of UTF-16 and UTF-32. Without one, a character of ASCII has zeros around it.
OTHER_MARKS = (b"\xff\xfe", b"\xfe\xff")
# How much of a client's words an error repeats.
MAX_REPEATED_CHARACTERS = 100
MAX_GENERATION_DIGITS = 18
SMALL_BYTES = 64 * 1024
"""How large a body may be that is parsed for somebody who is refused. It takes a millisecond."""


class MediaTypeError(protocol.InvalidRequestError):
    """The request is of a media type, a charset or an encoding that is not read here."""

    http_status = 415


async def admit(request: HttpRequest) -> Caller:
    """Return the caller of a request, before its body costs anything.

    Raises:
        MediaTypeError: The body is not said to be JSON.
        BodyTooLargeError: The body is said to have more than `MAX_BODY_BYTES` bytes.
        UnauthenticatedError: The caller is unknown, and the settings refuse unknown callers.
        PermissionDeniedError: A page of another site has sent it.
    """
    if request.method == "POST":
        _check_media_type(request)
        limit = conf.current().max_body_bytes
        if _is_above(request.META.get("CONTENT_LENGTH", ""), limit):
            raise BodyTooLargeError.of(limit)
    caller = await caller_of(request)
    # Only browsers send these.
    if "HTTP_ORIGIN" in request.META or "HTTP_SEC_FETCH_SITE" in request.META:
        check_origin(request, caller)
    return caller


def _check_media_type(request: HttpRequest) -> None:
    """Check that a body is JSON, as far as its type says so.

    A browser lets a page of another site send a form or plain text, with the cookies of its reader.
    It asks the server before it sends JSON. A body without a type is left to `check_origin`.
    """
    media_type = request.content_type or ""
    is_json = media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )
    if media_type and not is_json and media_type not in conf.current().body_media_types:
        raise MediaTypeError("The Content-Type must be application/json or application/a2a+json.")


def read_json(request: HttpRequest, limit: int | None = None) -> Any:
    """Read the body of a request as JSON.

    Args:
        request: The request.
        limit: How many bytes the body may have. None: as many as the settings say.

    Raises:
        JSONParseError: It is no JSON.
        MediaTypeError: It is in another charset than UTF-8, or packed in another way than gzip.
        BodyTooLargeError: It has more than `limit` bytes, packed or unpacked, or more than
            `MAX_JSON_VALUES` values.
        InvalidRequestError: It cannot be unpacked.
    """
    return parse_json(_read(request, limit or conf.current().max_body_bytes))


def read_json_object(request: HttpRequest) -> dict[str, Any]:
    """Read the body of a request as a JSON object; no body, or null, is an empty object.

    The errors are those of `read_json`, and:

    Raises:
        InvalidRequestError: It is no object.
    """
    body = _read(request, conf.current().max_body_bytes)
    value = parse_json(body) if body else None
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


def up_to_limit(scope: Any, receive: Any) -> Any:
    """Return a `receive` of ASGI that ends a body once it is too large, for the view to refuse.

    Django stores all that comes before it has a request. The rest is dropped as it comes, and so is
    all of a body that is said to be too large.
    """
    limit = room = conf.current().max_body_bytes
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]

    async def receive_some() -> Any:
        nonlocal room
        if room == limit and any(_is_above(value.decode("latin-1"), limit) for value in lengths):
            room = -1
            return {"type": "http.request"}
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return message
            if room >= 0:
                room -= len(message.get("body", b""))
                return message if room >= 0 else {**message, "more_body": False}

    return receive_some


def _is_above(length: str, limit: int) -> bool:
    """Tell whether a Content-Length is above a limit; Python reads no number of any length."""
    return length.isdecimal() and (len(length) > 18 or int(length) > limit)


def _read(request: HttpRequest, limit: int) -> bytes:
    # Read as a file: `request.body` is limited by DATA_UPLOAD_MAX_MEMORY_SIZE, which is for forms.
    is_wsgi = isinstance(request, WSGIRequest)
    body = body_of(request, limit + 1) if is_wsgi else request.read(limit + 1)
    # Django holds the request, and with it this file, for as long as a stream is open (R14).
    request._stream.close()
    if len(body) > limit:
        raise BodyTooLargeError.of(limit)
    coding = request.META.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if coding in ("gzip", "x-gzip"):
        body = unpacked(body, limit) if body else body
    elif coding not in ("", "identity"):
        coding = coding[:MAX_REPEATED_CHARACTERS]
        raise MediaTypeError(f"The Content-Encoding {coding!r} is not read here, apart from gzip.")
    _check_charset(request, body)
    return body.removeprefix(MARK)


def _check_charset(request: HttpRequest, body: bytes) -> None:
    charset = (request.content_params or {}).get("charset", "")
    if charset and charset.lower() not in CHARSETS:
        charset = charset[:MAX_REPEATED_CHARACTERS]
        raise MediaTypeError(f"The charset {charset!r} is not read here. JSON is in UTF-8.")
    if body.startswith(OTHER_MARKS) or (b"\x00" in body[:4] and len(body) >= 4):
        raise MediaTypeError("The body looks like UTF-16 or UTF-32. JSON is in UTF-8.")


def parse_json(body: bytes) -> Any:
    """Parse JSON of an allowed size; raise JSONParseError, or BodyTooLargeError for its values."""
    limit = conf.current().max_json_values
    # Each value has a byte at least.
    if len(body) > limit:
        check_values(body, limit)
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
    owner = owner_in(tenant_key, caller.owner)
    logs.subject.set(logs.Subject(agent=agent.slug, owner=owner, tenant=tenant_key))
    parameters = _service_parameters(request, agent, dialect.generations(given))
    is_numbered = parameters["generations"] is not None
    return Call(
        agent=agent,
        caller=caller,
        tenant=tenant,
        tenant_key=tenant_key,
        **parameters,
        push_payload=dialect.numbered_push_payload if is_numbered else dialect.push_payload,
        may_cancel_again=dialect.may_cancel_again,
        stays_while_waiting=dialect.stays_while_waiting,
        can_stream=not isinstance(request, WSGIRequest),
        served_at=served_at,
        base_url=partial(base_url, request),
        handed_on=partial(handed_on_of, request) if conf.current().hand_on else None,
        trace=_trace_headers(request) if telemetry.active else {},
        guard=partial(guard_of, request, asked, agent, caller, tenant, tenant_key),
    )


def _service_parameters(
    request: HttpRequest, agent: Agent, said: Generations | None
) -> dict[str, Any]:
    """Return the fields of a call that headers give (section 3.2.6).

    Args:
        request: The request.
        agent: The agent of the call.
        said: What the parameters say of generations, which headers may say too.
    """
    extensions = activated_extensions(agent, requested_extensions(request))
    return {
        "extensions": extensions,
        "last_event_id": header(request, "Last-Event-ID"),
        "idempotency_key": header(request, protocol.IDEMPOTENCY_HEADER).strip(),
        "generations": _generations(request, extensions, said) if conf.current().drafts else None,
    }


def _generations(
    request: HttpRequest, extensions: tuple[str, ...], said: Generations | None
) -> Generations | None:
    """Return what a client has said of generations; None if it does not know them."""
    current = _generation(request, protocol.CURRENT_GENERATION_HEADER)
    required = _generation(request, protocol.IF_GENERATION_MATCH_HEADER)
    if said is not None:
        current = said.current if current is None else current
        required = said.required if required is None else required
    elif URI not in extensions and current is None and required is None:
        return None
    return Generations(current, required)


def _generation(request: HttpRequest, name: str) -> int | None:
    value = header(request, name).strip()
    if not value:
        return None
    if not (value.isascii() and value.isdecimal()) or len(value) > MAX_GENERATION_DIGITS:
        raise protocol.InvalidParamsError.of(name, "must be a generation of the task")
    return int(value)


def _trace_headers(request: HttpRequest) -> dict[str, str]:
    names = ("traceparent", "tracestate")
    return {name: value for name in names if (value := header(request, name))}


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
