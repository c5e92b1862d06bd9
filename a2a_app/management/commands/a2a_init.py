"""`manage.py a2a_init`: write a first agent, and what the project needs for it."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from a2a_app.management import start
from a2a_app.management.start import Change


class Command(BaseCommand):
    """Write a first `agents.py`, and show or write what settings, URLs and ASGI need.

    A file that is right stays as it is, so the command may be run again.
    """

    help = "Write a first agents.py, and show (or write) what settings, URLs and ASGI need for it."
    # They would find fault with what this command is there to write.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the app and --write."""
        parser.add_argument(
            "app", nargs="?", help="The app that gets agents.py. Default: the project's package."
        )
        parser.add_argument(
            "--write", action="store_true", help="Write the changes instead of showing them."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the agent, then show or write the rest."""
        if not getattr(settings, "ROOT_URLCONF", None):
            raise CommandError("Set ROOT_URLCONF first: it says which file has the URLs.")
        project = settings.ROOT_URLCONF.rpartition(".")[0]
        name, folder = _app(options["app"], project)
        asgi = (getattr(settings, "ASGI_APPLICATION", None) or "").rpartition(".")[0]
        asgi = asgi or f"{project}.asgi".lstrip(".")
        module = os.environ["DJANGO_SETTINGS_MODULE"]
        found = [
            start.first_agents(folder),
            start.in_settings(_file(module), asgi=asgi, app=name),
            start.in_urls(_file(settings.ROOT_URLCONF)),
            start.in_asgi(_file(asgi), module),
        ]
        by_hand = [each.path for each in found if each and not self._make(each, options["write"])]
        if by_hand and options["write"]:
            raise CommandError("Not written: " + ", ".join(map(str, by_hand)))
        if not any(found):
            self.stdout.write("Nothing is missing.")
        elif options["write"]:
            self.stdout.write("Next: manage.py migrate, and manage.py runserver.")
        elif any(each and each.after and not _is_agents(each) for each in found):
            self.stdout.write("These changes are not written yet: add --write.")

    def _make(self, change: Change, write: bool) -> bool:
        """Write or show a change; return False where it is to be made by hand."""
        if change.after is None:
            self.stdout.write(f"Where it belongs in {change.path}, write:\n\n{change.advice}\n")
            return False
        if write or _is_agents(change):
            change.write()
            self.stdout.write(f"Written: {change.path}")
        else:
            self.stdout.write(change.diff)
        return True


def _is_agents(change: Change) -> bool:
    return change.path.name == "agents.py"


def _app(label: str | None, project: str) -> tuple[str, Path]:
    """Return the name and the folder of the app for the agents."""
    if label:
        try:
            config = apps.get_app_config(label)
        except LookupError:
            # It may be new, and not installed yet.
            if (spec := find_spec(label)) is None or not spec.submodule_search_locations:
                raise CommandError(f"There is no app {label!r}.") from None
            return label, Path(spec.submodule_search_locations[0])
        return config.name, Path(config.path)
    if not project:
        raise CommandError("ROOT_URLCONF is in no package, so say which app gets agents.py.")
    for config in apps.get_app_configs():
        if config.name == project:
            return project, Path(config.path)
    return project, _file(f"{project}.urls").parent


def _file(module: str) -> Path:
    """Return the file of a module, or the one that it would have."""
    spec = find_spec(module)
    if spec is not None and spec.origin:
        return Path(spec.origin)
    package, _, name = module.rpartition(".")
    parent = find_spec(package) if package else None
    places = parent.submodule_search_locations if parent else None
    return Path(places[0] if places else ".") / f"{name}.py"
