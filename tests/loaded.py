"""Loaded last by the process that forks: the app, with settings that each fork reads anew.

To import the app's models and the rest takes more than half of what a server's start does, and
nothing of it depends on settings; but Django imports them only once it has settings.
"""

import gc
import os
import sys

import django
from django.apps import apps
from django.conf import LazySettings, settings
from django.core.signals import setting_changed
from django.db import connections
from django.utils.functional import empty

# A database that nobody connects to.
_NOWHERE = {"A2A_TEST_DATABASE": "", "DATABASE_URL": "postgresql://nowhere/none"}
# The one makes an event loop, whose descriptors all forks would share; the other is set up once.
_NOT_YET = ("daphne", "procrastinate.contrib.django")
# What the app and Django may have read and kept.
_READ = ("A2A", "CACHES", "ROOT_URLCONF", "SECRET_KEY", "STORAGES", "TEMPLATES")
# Whose texts read the environment.
_SETTINGS = ("project.settings", "tests.settings")


def _load() -> None:
    os.environ.update(_NOWHERE, DJANGO_SETTINGS_MODULE="tests.settings")
    settings.INSTALLED_APPS = [name for name in settings.INSTALLED_APPS if name not in _NOT_YET]
    django.setup()
    # What is loaded by now stays, and no collector looks through it.
    gc.collect()
    gc.freeze()


def forget_settings() -> None:
    """Let Django be set up again, with the settings that this process's environment names."""
    settings._wrapped = empty
    for module in _SETTINGS:
        sys.modules.pop(module, None)
    apps.app_configs.clear()
    apps.apps_ready = apps.models_ready = apps.ready = apps.loading = False
    vars(connections).clear()
    connections.__init__()  # type: ignore[misc]  # it knows the databases of the settings before
    for name in _READ:
        # As where a test changes them: the app's own caches listen, and Django's.
        setting_changed.send(sender=LazySettings, setting=name, value=None, enter=True)


_load()
