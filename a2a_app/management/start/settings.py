"""What a project's settings lack, added at the end of their file."""

import ast
from pathlib import Path

from django.apps import apps
from django.conf import settings

from a2a_app import database
from a2a_app.management.start.change import Change, assigned, change

_SQLITE = """\
DATABASES[{alias!r}]["OPTIONS"] = {{
    **DATABASES[{alias!r}].get("OPTIONS", {{}}),
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}}"""


def in_settings(path: Path, *, asgi: str, app: str) -> Change | None:
    """Return what the file of the settings needs; None: nothing.

    What is there already is known from the settings in use, wherever they come from.

    Args:
        path: The file.
        asgi: The module of the ASGI application.
        app: The installed app, or package that is to be one, that has the agents.
    """
    lines = [*_apps(app), *_serving(asgi), *_access(), *_sqlite()]
    if not lines:
        return None
    addition = "\n".join(lines)

    def append(text: str, tree: ast.Module) -> str | None:
        used = {name for name in ("INSTALLED_APPS", "DATABASES") if name in addition}
        # A name that comes from elsewhere (`import *`, a loop, an `if`) may be another's to change.
        if not all(assigned(tree, name) for name in used):
            return None
        known = addition
        if not assigned(tree, "DEBUG"):
            known = known.replace('"share" if DEBUG else "refuse"', '"refuse"')
        return f"{text.rstrip()}\n\n{known}\n"

    return change(path, append, addition)


def _apps(app: str) -> list[str]:
    first = [] if apps.is_installed("daphne") else ['"daphne"']
    last = [f'"{each}"' for each in ("channels", "a2a_app", app) if not apps.is_installed(each)]
    if not first and not last:
        return []
    return [f"INSTALLED_APPS = [{', '.join([*first, '*INSTALLED_APPS', *last])}]"]


def _serving(asgi: str) -> list[str]:
    lines = []
    if not getattr(settings, "ASGI_APPLICATION", None):
        lines.append(f'ASGI_APPLICATION = "{asgi}.application"')
    if not getattr(settings, "CHANNEL_LAYERS", None):
        lines.append("# One process needs no more than this; several need one that they share.")
        backend = '{"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}'
        lines.append(f"CHANNEL_LAYERS = {backend}")
    return lines


def _access() -> list[str]:
    if hasattr(settings, "A2A"):
        return []
    return [
        "# For a first try, all may use the agents. Set AUTHENTICATION before others reach them.",
        'A2A = {"ANONYMOUS": "share" if DEBUG else "refuse"}',
    ]


def _sqlite() -> list[str]:
    alias = database.alias()
    used = settings.DATABASES[alias]
    if not used["ENGINE"].endswith(".sqlite3"):
        return []
    if "transaction_mode" in used.get("OPTIONS", {}):
        return []
    return [_SQLITE.format(alias=alias).replace("'", '"')]
