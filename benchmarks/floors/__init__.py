"""Floors: servers that do nothing. They show what a request costs before this app has its turn."""
