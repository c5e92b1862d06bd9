"""The settings: one dict, `A2A`, in the project's Django settings.

`current()` returns them as one frozen object, so that `manage.py check` finds a misspelt name or a
value of the wrong type before a request does.
"""

from a2a_app.conf.entries import PRUNABLE_STATES, RemoteAgentSettings, Retention
from a2a_app.conf.project import NAME, cached, current, imported, suggestion
from a2a_app.conf.settings import Settings

__all__ = [
    "NAME",
    "PRUNABLE_STATES",
    "RemoteAgentSettings",
    "Retention",
    "Settings",
    "cached",
    "current",
    "imported",
    "suggestion",
]
