"""System checks: faults that `manage.py check` finds before a request does."""

from a2a_app.checks import (
    access,
    databases,
    project,
    remote_agents,
    routers,
    serving,
    urls,
)

__all__ = ["access", "databases", "project", "remote_agents", "routers", "serving", "urls"]
