"""The headers that browsers must be allowed to send to agents, and to read: for the settings."""

from a2a_app.protocol import (
    CURRENT_GENERATION_HEADER,
    EXTENSIONS_HEADER,
    EXTENSIONS_HEADER_03,
    IDEMPOTENCY_HEADER,
    IF_GENERATION_MATCH_HEADER,
    VERSION_HEADER,
)

ALLOW_HEADERS = (
    VERSION_HEADER,
    EXTENSIONS_HEADER,
    EXTENSIONS_HEADER_03,
    IDEMPOTENCY_HEADER,
    CURRENT_GENERATION_HEADER,
    IF_GENERATION_MATCH_HEADER,
    "If-None-Match",
    "Last-Event-ID",
)
"""What clients send, besides the headers of every API such as Authorization and Content-Type."""

EXPOSE_HEADERS = (
    EXTENSIONS_HEADER,
    EXTENSIONS_HEADER_03,
    "ETag",
    "Retry-After",
    "WWW-Authenticate",
)
"""What clients read of an answer, besides those that every page may read."""
