"""A Django app that makes a Django project an A2A (Agent2Agent) server.

The rooms, in the only order in which they may import each other: protocol, conf, models, live,
store, feed, agents, runners, operations, bindings. `docs/architecture.md` is the tour.
"""

from importlib.metadata import version

__version__ = version("django-agent2agent")
