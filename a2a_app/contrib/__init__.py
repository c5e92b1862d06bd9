"""Agents that were written with other frameworks, each behind an extra of its own.

Nothing here is imported unless a project names it.
"""
