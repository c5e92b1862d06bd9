"""Keys that sort by the time they were made."""

from uuid import UUID

from uuid_utils.compat import uuid7


def new_key() -> UUID:
    """Make a UUID (version 7). Later ones are greater, so that an index grows only at its end."""
    return uuid7()
