"""Reads: rows back into the protocol's objects. Nothing here changes anything (R10)."""
