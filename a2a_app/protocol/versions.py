"""Versions of the protocol, and the names of its headers (sections 3.2.6 and 3.6)."""

VERSION_HEADER = "A2A-Version"
EXTENSIONS_HEADER = "A2A-Extensions"
EXTENSIONS_HEADER_03 = "X-A2A-Extensions"

CURRENT_GENERATION_HEADER = "A2A-Current-Generation"
IF_GENERATION_MATCH_HEADER = "A2A-If-Generation-Match"
"""Not the protocol's own, as the one before: see docs/extensions/task-generations.md."""

IDEMPOTENCY_HEADER = "Idempotency-Key"
"""Not the protocol's own: see docs/extensions/idempotent-sending.md."""

VERSION = "1.0"
"""The version that the models of `a2a_app.protocol` belong to."""

VERSION_11 = "1.1"
"""The version after it, which is a draft."""

VERSION_03 = "0.3"
"""The version before it, for the clients that still speak it."""
