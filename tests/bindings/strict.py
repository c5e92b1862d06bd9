"""Settings of a project that has switched on what gets in the way of other apps."""

from tests.settings import *  # noqa: F403  # the settings of the tests, and these
from tests.settings import DATABASES, MIDDLEWARE

DATABASES["default"]["ATOMIC_REQUESTS"] = True
MIDDLEWARE = [*MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
DATA_UPLOAD_MAX_MEMORY_SIZE = 1
