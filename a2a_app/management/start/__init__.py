"""What a project needs before its first agent answers, as changes to its files."""

from a2a_app.management.start.agents import first_agents
from a2a_app.management.start.change import Change
from a2a_app.management.start.entrances import in_asgi, in_urls
from a2a_app.management.start.settings import in_settings

__all__ = ["Change", "first_agents", "in_asgi", "in_settings", "in_urls"]
