"""Settings of a site whose admin looks like django-unfold's, which works under no strict policy."""

from tests.settings import *  # noqa: F403  # they are the tests' own, but for what follows
from tests.settings import INSTALLED_APPS

ROOT_URLCONF = "tests.browser.urls"
INSTALLED_APPS = ["unfold", *INSTALLED_APPS]
