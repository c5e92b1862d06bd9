"""The app's entry in INSTALLED_APPS."""

from contextlib import suppress

from django.apps import AppConfig, apps
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import autodiscover_modules


class A2AConfig(AppConfig):
    """Registers checks and signals, and imports the `agents` module of each installed app."""

    name = "a2a_app"
    label = "a2a_app"
    verbose_name = "Agent2Agent"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Import each installed app's `agents.py`, as the admin imports each `admin.py`.

        Raises:
            ImproperlyConfigured: An app is not installed that this one needs.
        """
        for needed in ("django.contrib.auth", "django.contrib.contenttypes"):
            if not apps.is_installed(needed):
                raise ImproperlyConfigured(
                    f"a2a_app needs {needed}: add it to INSTALLED_APPS. Tasks may belong to users, "
                    "whatever their model."
                )
        # Checks register themselves on import, which is possible only once the models are loaded.
        from a2a_app import checks as checks  # loaded here: needs the app registry
        from a2a_app import runners  # loaded here: as above
        from a2a_app.agents.durable.peers import install  # loaded here: as above
        from a2a_app.authentication import changes, key_events  # loaded here: as above
        from a2a_app.bindings import v03 as v03  # loaded here: workers deliver to its webhooks too
        from a2a_app.bindings import v11 as v11  # loaded here: as above
        from a2a_app.client.peers import ClientPeers  # loaded here: as above
        from a2a_app.client.rounds import visit_for_ever  # loaded here: as above
        from a2a_app.runners import upkeep  # loaded here: as above
        from a2a_app.store import deleted_owners  # loaded here: needs the app registry

        install(ClientPeers())
        upkeep.add(visit_for_ever)
        changes.connect()
        key_events.connect()
        autodiscover_modules("agents")
        with suppress(ImproperlyConfigured):  # the check a2a.E001 reports it
            # A runner registers its job with its queue, whose workers may be any process.
            runners.current()
        with suppress(ImproperlyConfigured):  # as above
            deleted_owners.watch()
