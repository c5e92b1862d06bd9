"""A channel layer on PostgreSQL alone, for any project with Channels. It knows nothing of A2A."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from a2a_app.layers.postgresql import PostgreSQLChannelLayer

__all__ = ["PostgreSQLChannelLayer"]


def __getattr__(name: str) -> Any:
    if name == "PostgreSQLChannelLayer":
        # Loaded here: it needs msgpack, and projects that use `session` only may have none.
        from a2a_app.layers.postgresql import PostgreSQLChannelLayer

        return PostgreSQLChannelLayer
    raise AttributeError(name)
