"""Bytes that are too large for a row: where they are stored, their rows, and the links to them."""
