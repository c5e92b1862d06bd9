"""Floors: servers that do nothing, for what a request costs before this app has its turn."""
