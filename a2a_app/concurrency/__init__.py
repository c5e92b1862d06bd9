"""Threads, shielded work, singletons of an event loop, outages, and callables of either kind."""
