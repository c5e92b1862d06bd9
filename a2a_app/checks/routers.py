"""System checks of DATABASE_ROUTERS: the app's tables are in one database, with the users."""

from django.apps import apps
from django.contrib.auth import get_user_model
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import router

from a2a_app.checks.project import TAG, Finding

APP = "a2a_app"


@checks.register(TAG)
def check_routers(**_: object) -> list[Finding]:
    """Find tables apart from the users' (a2a.E021) or each other (a2a.E022), or reads (a2a.E023).

    A row of the app's refers to a user, a transaction writes several tables, and what was written
    is read at once. No database does any of these with another one.
    """
    try:
        users = get_user_model()
    except ImproperlyConfigured:
        return []  # Django's own checks report it
    models = list(apps.get_app_config(APP).get_models())
    written = {router.db_for_write(model) for model in models}
    if len(written) > 1:
        text = f"DATABASE_ROUTERS spread the app's tables over {_named(written)}."
        hint = f"Have db_for_write return one alias for all models of the app label {APP!r}."
        return [checks.Error(text, hint=hint, id="a2a.E022")]
    [alias] = written
    findings: list[Finding] = []
    if (of_users := router.db_for_write(users)) != alias:
        text = (
            f"The app's tables are in {alias!r}, and those of {users._meta.label} in {of_users!r}."
        )
        hint = (
            f"Have the router return {of_users!r} for the app label {APP!r}, in db_for_read, "
            "db_for_write and allow_migrate."
        )
        findings.append(checks.Error(text, hint=hint, id="a2a.E021"))
    # A router may choose at random. It has a choice for each model.
    if elsewhere := {router.db_for_read(model) for model in models} - {alias}:
        text = (
            f"The app's tables are written to {alias!r} and read from {_named(elsewhere)}, which "
            "may be behind."
        )
        hint = f"Have db_for_read return {alias!r} for the app label {APP!r}."
        findings.append(checks.Error(text, hint=hint, id="a2a.E023"))
    return findings


def _named(aliases: set[str]) -> str:
    return " and ".join(repr(alias) for alias in sorted(aliases))
