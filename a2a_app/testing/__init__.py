"""Tests of one's agents: clients in the test's own process, and agents for one test."""

from a2a_app.agents.answers import Answer, Event, text_of
from a2a_app.testing.agents import agent_for_test
from a2a_app.testing.async_client import AsyncClient
from a2a_app.testing.client import Client
from a2a_app.testing.clock import Clock
from a2a_app.testing.replays import areplay, replay
from a2a_app.testing.runtime import app_for_test

__all__ = [
    "Answer",
    "AsyncClient",
    "Client",
    "Clock",
    "Event",
    "agent_for_test",
    "app_for_test",
    "areplay",
    "replay",
    "text_of",
]
