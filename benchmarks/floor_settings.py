"""Settings of the floor: the tests' own, middleware included, with one view that does nothing."""

from tests.settings import *  # noqa: F403  # all but the URLs

ROOT_URLCONF = "benchmarks.floor"
