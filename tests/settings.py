"""Settings of the tests: the reference project's, with databases that several threads can share."""

import tempfile
from pathlib import Path

from project.settings import *  # noqa: F403  # the tests run what the project runs
from project.settings import DATABASES, INSTALLED_APPS

DEBUG = False
SECRET_KEY = "for-tests-only"  # noqa: S105  # guards nothing
ALLOWED_HOSTS = ["*"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
INSTALLED_APPS = [*INSTALLED_APPS, "tests"]
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # One in memory would be another one for each thread.
    folder = Path(tempfile.mkdtemp(prefix="a2a-tests-"))
    DATABASES["default"]["TEST"] = {"NAME": str(folder / "test.sqlite3")}
