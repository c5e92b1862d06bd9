"""The settings of the floors, without middleware."""

from benchmarks.floors import settings
from benchmarks.floors.settings import *  # noqa: F403  # all but the middleware

MIDDLEWARE = settings.MIDDLEWARE[:0]
