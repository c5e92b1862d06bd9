"""Threads, shielded work, one object for each event loop, outages, and hooks of either kind."""
