"""Settings of the site that browsers visit: it has its static files, and a strict policy."""

from tests.settings import *  # noqa: F403  # they are the tests' own, but for what follows
from tests.settings import MIDDLEWARE

ROOT_URLCONF = "tests.browser.urls"
MIDDLEWARE = [*MIDDLEWARE, "tests.browser.policy.strict"]
