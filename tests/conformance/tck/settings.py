"""Settings of the site that the official suite tests: the reference project's, and its agent."""

from tests.settings import *  # noqa: F403  # the same but for the agent
from tests.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.conformance.tck"]
