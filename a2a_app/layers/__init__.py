"""Layers: a channel layer on PostgreSQL alone, for any project with Channels. It knows no A2A."""

from a2a_app.layers.postgresql import PostgreSQLChannelLayer

__all__ = ["PostgreSQLChannelLayer"]
