"""Settings of the reference project. Those that differ by place come from the environment."""

import json
import os
from pathlib import Path
from typing import Any

import dj_database_url

BASE_DIR = Path(__file__).resolve().parent.parent
DEVELOPMENT_KEY = "for-development-only"

DEBUG = os.environ.get("DJANGO_DEBUG", "1") == "1"
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", DEVELOPMENT_KEY if DEBUG else "")
ALLOWED_HOSTS = os.environ.get("DJANGO_ALLOWED_HOSTS", "127.0.0.1,localhost").split(",")
PORT = int(os.environ.get("PORT", "8000"))

INSTALLED_APPS = [
    "daphne",  # before staticfiles: it makes runserver an ASGI server
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "ninja",  # so that the page about the API has its scripts here, and needs no internet
    "a2a_app",
    "project",
]

RUNNER = os.environ.get("A2A_RUNNER", "embedded")
if RUNNER == "procrastinate":
    INSTALLED_APPS.append("procrastinate.contrib.django")
if RUNNER == "tasks":
    INSTALLED_APPS += ["django_tasks", "django_tasks_db"]
    TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}

MIDDLEWARE = [
    # First, since programs need none of the middleware below it.
    "a2a_app.middleware.bypass",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "project.urls"
ASGI_APPLICATION = "project.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

_database: dict[str, Any] = dict(
    dj_database_url.parse(os.environ.get("DATABASE_URL", f"sqlite:///{BASE_DIR / 'db.sqlite3'}"))
)
if _database["ENGINE"] == "django.db.backends.sqlite3":
    # Without these a writer may fail where it could wait, and readers wait for writers.
    _database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
elif _database["ENGINE"] == "django.db.backends.postgresql":
    # PostgreSQL plans a statement that is repeated once for each connection, and not each time. Do
    # not set this behind a pooler in transaction mode, unless it knows prepared statements.
    _prepared = {"server_side_binding": True, "prepare_threshold": 5}
    _database["OPTIONS"] = {**_prepared, **_database.get("OPTIONS", {})}
DATABASES = {"default": _database}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
_layers: dict[str, dict[str, Any]] = {
    # For one process only. Events of other processes are found by polling.
    "memory": {
        "BACKEND": "channels.layers.InMemoryChannelLayer",
        "CONFIG": {"capacity": 10_000},
    },
    "redis": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL]},
    },
    "redis-core": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "capacity": 10_000},
    },
    # It needs only a DATABASE_URL of PostgreSQL.
    "postgresql": {
        "BACKEND": "a2a_app.layers.PostgreSQLChannelLayer",
        "CONFIG": {"capacity": 10_000},
    },
}
_layer = os.environ.get("CHANNEL_LAYER") or ("redis" if os.environ.get("REDIS_URL") else "memory")
CHANNEL_LAYERS = {"default": _layers[_layer]}

A2A: dict[str, Any] = {
    "DEFAULT_AGENT": "echo",
    "ANONYMOUS": "share",
    "RUNNER": RUNNER,
    "PUBLIC_URL": os.environ.get("A2A_PUBLIC_URL", ""),
    "GRPC_URL": os.environ.get("A2A_GRPC_URL", ""),
    # Any of the app's settings, as JSON: {"LEASE_SECONDS": 5}
    **json.loads(os.environ.get("A2A_SETTINGS") or "{}"),
}

# Those that the app has its texts in.
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "static"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {
        "a2a_app": {
            "handlers": ["console"],
            "level": os.environ.get("A2A_LOG_LEVEL", "INFO"),
            "propagate": False,
        },
        "django": {"handlers": ["console"], "level": "WARNING", "propagate": False},
        "procrastinate": {"handlers": ["console"], "level": "WARNING", "propagate": False},
    },
}
