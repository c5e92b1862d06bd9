"""Bodies: the JSON that comes in, whatever Django's own limits are."""

from collections.abc import Collection
from typing import Any

from django.http import HttpRequest
from pydantic_core import from_json

from a2a_app import conf, protocol


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
