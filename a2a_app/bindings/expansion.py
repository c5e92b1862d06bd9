"""What a body may become: unpacked, and as objects. Both are bounded before they are made.

A hundred bytes may unpack to megabytes, and ten megabytes of `[[],[],…` are three million objects.
No thread helps against these: JSON is parsed by one call, which lets no other thread run meanwhile.
"""

import zlib
from typing import Self

from a2a_app import protocol

# Each one copies all that is left: tens of thousands of tiny ones would take minutes.
MAX_MEMBERS = 16
_GZIP = zlib.MAX_WBITS + 16


class BodyTooLargeError(protocol.InvalidRequestError):
    """The request is too large."""

    http_status = 413

    @classmethod
    def of(cls, limit: int) -> Self:
        """Make the error of a body with more bytes than it may have."""
        return cls(f"The request is larger than {limit} bytes.")


def unpacked(packed: bytes, limit: int) -> bytes:
    """Unpack the members of a gzip file, and stop once they are too large.

    Args:
        packed: The file.
        limit: How many bytes they may have together.

    Raises:
        BodyTooLargeError: They have more.
        InvalidRequestError: It is no gzip, breaks off, or has more than MAX_MEMBERS members.
    """
    body = b""
    for _ in range(MAX_MEMBERS):
        member = zlib.decompressobj(_GZIP)
        try:
            body += member.decompress(packed, limit + 1 - len(body))
        except zlib.error as error:
            raise protocol.InvalidRequestError(f"The body is no gzip: {error}.") from None
        if len(body) > limit:
            raise BodyTooLargeError.of(limit)
        if not member.eof:
            raise protocol.InvalidRequestError("The body is no gzip: it breaks off.")
        packed = member.unused_data
        if not packed:
            return body
    raise protocol.InvalidRequestError(f"The gzip has more than {MAX_MEMBERS} members.")


def check_values(body: bytes, limit: int) -> None:
    """Check how many values there are in JSON, without parsing it: 10 MB take some 50 ms at most.

    Args:
        body: The JSON. What follows its first fault may be counted wrongly, and is not parsed.
        limit: How many values it may have.

    Raises:
        BodyTooLargeError: It has more. An empty array or object may count as two.
    """
    # A long text may have as many commas.
    if _values_in(body) > limit and _are_more(body, limit):
        raise BodyTooLargeError(f"The request has more than {limit} values in its JSON.")


def _are_more(body: bytes, limit: int) -> bool:
    without_escapes = body.replace(rb"\\", b"").replace(rb"\"", b"")
    # Each string is a value, or the key of one. So many strings need not be cut out.
    if without_escapes.count(b'"') > 4 * limit:
        return True
    return _values_in(b"".join(without_escapes.split(b'"')[::2])) > limit


def _values_in(json: bytes) -> int:
    """Return how many values JSON without strings has: one, and one for each comma and bracket."""
    return 1 + json.count(b",") + json.count(b"[") + json.count(b"{")
