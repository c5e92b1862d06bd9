"""Bodies: the JSON that comes in, whatever Django's own limits are."""

from typing import Any

from django.http import HttpRequest
from pydantic_core import from_json

from a2a_app import conf, protocol


class BodyTooLargeError(protocol.InvalidRequestError):
    """The request is too large."""

    http_status = 413


def read_json(request: HttpRequest) -> Any:
    """Read a request's body as JSON; raises JSONParseError, or BodyTooLargeError."""
    limit = conf.current().max_body_bytes
    # Read as a file: `request.body` is subject to DATA_UPLOAD_MAX_MEMORY_SIZE, made for forms.
    body = request.read(limit + 1)
    # Django keeps the request, and with it this file, for as long as a stream is open (R14).
    request._stream.close()
    if len(body) > limit:
        raise BodyTooLargeError(f"The request is larger than {limit} bytes.")
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise protocol.JSONParseError(f"Invalid JSON payload: {error}") from None
