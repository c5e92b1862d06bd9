"""The app's entry in INSTALLED_APPS."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class A2AConfig(AppConfig):
    """Registers the system checks and finds the `agents` module of every installed app."""

    name = "a2a_app"
    label = "a2a_app"
    verbose_name = "Agent2Agent"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Import each installed app's `agents.py`, as the admin imports each `admin.py`."""
        # Checks register themselves when imported, and may not be before the models are loaded.
        from a2a_app import checks as checks  # loaded here: needs the app registry

        autodiscover_modules("agents")
