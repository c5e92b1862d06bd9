"""Figures: how much runs, waits and fails. The overview, `a2a_status` and monitors show the same.

Each query is bounded, whatever the tables hold, and has an index.
"""

from a2a_app.figures.current import Figures, Revision, cached, fetch, read
from a2a_app.figures.history import AgentFigures, History, Hour
from a2a_app.figures.levels import Concern, Level, concerns_of, worst_of
from a2a_app.figures.workers import Worker

__all__ = [
    "AgentFigures",
    "Concern",
    "Figures",
    "History",
    "Hour",
    "Level",
    "Revision",
    "Worker",
    "cached",
    "concerns_of",
    "fetch",
    "read",
    "worst_of",
]
