"""Calls: what a request says besides its body (section 3.2.6)."""

from collections.abc import Collection
from functools import partial
from typing import Any

from django.http import HttpRequest
from pydantic_core import from_json

from a2a_app import conf, protocol
from a2a_app.agents import Agent
from a2a_app.bindings.dialects import Dialect
from a2a_app.bindings.interfaces import base_url, served_by
from a2a_app.bindings.tenants import resolve
from a2a_app.operations.call import Call, Caller, activated_extensions


class BodyTooLargeError(protocol.InvalidRequestError):
    """The request is too large."""

    http_status = 413


class MediaTypeError(protocol.InvalidRequestError):
    """The request is of a media type that is not read here."""

    http_status = 415


def read_json(request: HttpRequest) -> Any:
    """Read a request's body as JSON; raises JSONParseError, or BodyTooLargeError."""
    return _parse(_read(request))


def read_json_object(request: HttpRequest, media_types: Collection[str]) -> dict[str, Any]:
    """Read a request's body as a JSON object; none at all is an empty one.

    Raises JSONParseError, BodyTooLargeError, MediaTypeError, or InvalidRequestError.
    """
    # Also where it is empty: a page of another site may send a form in the name of its reader.
    if request.content_type and request.content_type not in media_types:
        raise MediaTypeError(f"The Content-Type must be one of {', '.join(media_types)}.")
    body = _read(request)
    if not body:
        return {}
    given = _parse(body)
    if not isinstance(given, dict):
        raise protocol.InvalidRequestError("The body must be one JSON object.")
    return given


def _read(request: HttpRequest) -> bytes:
    limit = conf.current().max_body_bytes
    # Read as a file: `request.body` is subject to DATA_UPLOAD_MAX_MEMORY_SIZE, made for forms.
    body = request.read(limit + 1)
    # Django keeps the request, and with it this file, for as long as a stream is open (R14).
    request._stream.close()
    if len(body) > limit:
        raise BodyTooLargeError(f"The request is larger than {limit} bytes.")
    return body


def _parse(body: bytes) -> Any:
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise protocol.JSONParseError(f"Invalid JSON payload: {error}") from None


async def call_of(
    request: HttpRequest, agent: Agent, caller: Caller, dialect: Dialect, given: dict[str, Any]
) -> Call:
    """Make the call of a request; raises A2AError where the agent cannot serve it.

    Args:
        request: What came in.
        agent: The one whose URL was asked; a tenant may have another.
        caller: Who asks.
        dialect: How the version asked for writes it.
        given: The parameters in JSON of 1.0, not checked yet.
    """
    named, served, key = "", partial(served_by, request, agent), ""
    if conf.current().tenant_resolver:
        named = dialect.tenant(given)
        served = partial(served, tenant=named)
        agent, key = await resolve(request, agent, named, caller.identity)
    return Call(
        agent=agent,
        caller=caller,
        tenant=named,
        tenant_key=key,
        extensions=activated_extensions(agent, asked_extensions(request)),
        last_event_id=header(request, "Last-Event-ID"),
        idempotency_key=header(request, protocol.IDEMPOTENCY_HEADER).strip(),
        push_payload=dialect.push_payload,
        served=served,
        base_url=partial(base_url, request),
    )


def header(request: HttpRequest, name: str) -> str:
    """Give a header of a request, empty where it has none.

    Django's `request.headers` makes a mapping of them all, which takes longer than what we do with
    the few that we look for.
    """
    value: str = request.META.get(f"HTTP_{name.upper().replace('-', '_')}", "")
    return value


def asked_extensions(request: HttpRequest) -> list[str]:
    """Give the URIs of the extensions that the client wants to use."""
    names = (protocol.EXTENSIONS_HEADER, protocol.EXTENSIONS_HEADER_03)
    given = ",".join([header(request, name) for name in names])
    return [uri.strip() for uri in given.split(",") if uri.strip()]


def named_version(request: HttpRequest) -> str:
    """Give the version that a request names, in a header or in the query; empty: none."""
    name = protocol.VERSION_HEADER
    return (header(request, name) or request.GET.get(name) or "").strip()


def version_of(request: HttpRequest, *, implied: str) -> str:
    """Give the version that a request asks for; raises VersionNotSupportedError (section 3.6.2).

    Args:
        request: Names its version in a header or in the query, or not at all.
        implied: The version that the method or the URL belongs to: it tells where the request
            does not.
    """
    given = named_version(request)
    version = protocol.requested_version(given) if given else implied
    served = conf.current().protocol_versions
    if version not in served:
        raise protocol.VersionNotSupportedError(
            f"Version {version[:20]!r} is not served here. Name one of {', '.join(served)} in the "
            f"header {protocol.VERSION_HEADER}.",
            requested=version[:20],
            supported=", ".join(served),
        )
    return version
