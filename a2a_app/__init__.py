"""A Django app that makes a Django project an A2A (Agent2Agent) server.

`docs/architecture.md` explains how it is built, and lists its packages in the only order in which
they may import each other.
"""

from importlib.metadata import version
from pathlib import Path

TEMPLATE = Path(__file__).parent / "project_template"
"""The template of a new project, for `django-admin startproject --template`."""

__version__ = version("django-agent2agent")
