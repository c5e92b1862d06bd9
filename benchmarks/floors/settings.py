"""The settings of the tests, middleware included, with views that do nothing."""

from tests.settings import *  # noqa: F403  # all but the URLs

ROOT_URLCONF = "benchmarks.floors.urls"
