"""Keys that sort by the time they were made."""

from uuid import UUID

from uuid_utils.compat import uuid7


def new_key() -> UUID:
    """Make a UUID (version 7): later ones are greater, so an index grows at its end only."""
    return uuid7()
