"""A Django app that makes a Django project an A2A (Agent2Agent) server.

`docs/architecture.md` explains how it is built, and lists its packages in the only order in which
they may import each other.
"""

from importlib.metadata import version

__version__ = version("django-agent2agent")
