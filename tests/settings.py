"""Settings of the tests: the reference project's, with databases that several threads can share."""

import os

from django.conf import global_settings

from tests.folder import folder

if os.environ.get("A2A_TEST_DATABASE") == "postgresql":
    # Loaded here: the servers that tests start have no use for it, and each would take as long to
    # load it as the app.
    from tests.servers import postgresql_url

    # Django's own default, where the servers that tests start have the project's options.
    os.environ["DATABASE_URL"] = f"{postgresql_url()}?server_side_binding=false"

from project.settings import *  # noqa: F403  # after the line that chooses the database
from project.settings import A2A, DATABASES, INSTALLED_APPS

# No test waits for agents that hang; those that are about the wait ask for one.
A2A = {"SHUTDOWN_SECONDS": 0, "STORAGE": "files", "OWNER_MODELS": ["auth.Group"], **A2A}
STORAGES = {
    **global_settings.STORAGES,
    "files": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": os.environ.get("A2A_TEST_FILES") or folder() / "files"},
    },
    # It has no paths and no other process sees it, as one that is far away.
    "memory": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
}
DEBUG = False
SECRET_KEY = "for-tests-only"
ALLOWED_HOSTS = ["*"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
QUEUES = ["django_tasks", "django_tasks_db"]
if DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
    QUEUES.append("procrastinate.contrib.django")
# Every queue's tables in every database, whichever runner the test is about.
INSTALLED_APPS = [*dict.fromkeys([*INSTALLED_APPS, *QUEUES, "tests.app"])]
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # One in memory would be another one for each thread.
    DATABASES["default"]["TEST"] = {"NAME": str(folder() / "test.sqlite3")}
if os.environ.get("REDIS_URL"):
    # For what all processes count together.
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": os.environ["REDIS_URL"],
        }
    }
