"""Settings of a site whose admin looks like django-jazzmin's, which has inline scripts."""

from tests.settings import *  # noqa: F403  # they are the tests' own, but for what follows
from tests.settings import INSTALLED_APPS

ROOT_URLCONF = "tests.browser.urls"
INSTALLED_APPS = ["jazzmin", *INSTALLED_APPS]
# They are on another site.
JAZZMIN_SETTINGS = {"use_google_fonts_cdn": False}
