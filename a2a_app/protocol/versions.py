"""Versions of the protocol, and the names of its headers (sections 3.2.6 and 3.6)."""

VERSION_HEADER = "A2A-Version"
EXTENSIONS_HEADER = "A2A-Extensions"
EXTENSIONS_HEADER_03 = "X-A2A-Extensions"

IDEMPOTENCY_HEADER = "Idempotency-Key"
"""Not the protocol's own: see docs/extensions/idempotent-sending.md."""

VERSION = "1.0"
"""The version that the models of `a2a_app.protocol` belong to."""

VERSION_03 = "0.3"
"""The version before it, for the clients that still speak it."""

UNNAMED_VERSION = VERSION_03
"""The version of a request that names none (section 3.6.2)."""


def requested_version(value: str | None) -> str:
    """Return the version that a header's value asks for, without its patch number.

    Args:
        value: The header's value; None or empty where the header is missing.

    Returns:
        `major.minor`, or the value itself where it is not of the form `major.minor.patch`.
    """
    value = (value or "").strip()
    if not value:
        return UNNAMED_VERSION
    numbers = value.split(".")
    if len(numbers) == 3 and all(number.isdecimal() for number in numbers):
        return ".".join(numbers[:2])
    return value
