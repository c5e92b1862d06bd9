"""Settings of a project that is served by WSGI only, and has no ASGI application."""

from tests.settings import *  # noqa: F403  # all but what follows
from tests.settings import INSTALLED_APPS

INSTALLED_APPS = [each for each in INSTALLED_APPS if each != "daphne"]
del ASGI_APPLICATION  # noqa: F821  # the star has it
WSGI_APPLICATION = "tests.projects.wsgi.application"
