"""A channel layer on PostgreSQL alone, for any project with Channels. It knows nothing of A2A."""

from a2a_app.layers.postgresql import PostgreSQLChannelLayer

__all__ = ["PostgreSQLChannelLayer"]
