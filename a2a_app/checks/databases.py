"""System checks of the database.

Those that connect are run by `manage.py check --database default`, and by `migrate`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings as django_settings
from django.core import checks
from django.db import connections

from a2a_app import database
from a2a_app.checks.project import TAG, Finding


@checks.register(TAG)
def check_vendor(**_: Any) -> list[Finding]:
    """Find a database, or a driver of it, that the app does not work on (a2a.E026)."""
    if not (fault := database.find_fault()):
        return []
    hint = (
        "Use PostgreSQL with psycopg 3, or SQLite on one machine, for the tables of the app and of "
        "the users."
    )
    return [checks.Error(fault, hint=hint, id="a2a.E026")]


@checks.register(TAG)
def check_time_zones(**_: Any) -> list[Finding]:
    """Find times without zones (a2a.E027): those of leases, and of clients, are moments."""
    if django_settings.USE_TZ:
        return []
    text = "USE_TZ is False, and the app can neither store nor compare times without zones."
    return [checks.Error(text, hint="Set USE_TZ to True.", id="a2a.E027")]


@checks.register(TAG, checks.Tags.database)
def check_sqlite(databases: Any = None, **_: Any) -> list[Finding]:
    """Find SQLite without IMMEDIATE transactions (a2a.W004) or a write-ahead log (a2a.W005)."""
    if database.alias() not in (databases or ()):
        return []
    connection = connections[database.alias()]
    if connection.vendor != "sqlite":
        return []
    options = connection.settings_dict.get("OPTIONS", {})
    findings: list[Finding] = []
    if str(options.get("transaction_mode", "")).upper() != "IMMEDIATE":
        findings.append(
            checks.Warning(
                "SQLite transactions may fail at once with 'database is locked'.",
                hint="Set OPTIONS['transaction_mode'] to 'IMMEDIATE'.",
                id="a2a.W004",
            )
        )
    with connection.cursor() as cursor:
        mode = cursor.execute("PRAGMA journal_mode").fetchone()[0]
    if mode not in ("wal", "memory"):
        findings.append(
            checks.Warning(
                f"SQLite's journal mode is {mode!r}: readers and writers wait for each other.",
                hint="Set OPTIONS['init_command'] to 'PRAGMA journal_mode=WAL;'.",
                id="a2a.W005",
            )
        )
    return findings


@checks.register(TAG, checks.Tags.database)
def check_options_for_a_pooler(databases: Any = None, **_: Any) -> list[Finding]:
    """Find what a pooler in transaction mode may not know how to do.

    These are server-side cursors (a2a.W015) and prepared statements (a2a.W016).
    """
    if database.alias() not in (databases or ()):
        return []
    connection = connections[database.alias()]
    options = connection.settings_dict.get("OPTIONS", {})
    has_cursors = not connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS")
    has_prepared = options.get("prepare_threshold") is not None
    if connection.vendor != "postgresql" or not (has_cursors or has_prepared):
        return []
    from a2a_app.layers import session  # loaded here: it needs psycopg

    if not _finds_shared(partial(session.check_session, database.alias())):
        return []
    findings: list[Finding] = []
    if has_cursors:
        findings.append(
            checks.Warning(
                "Django uses server-side cursors, and a pooler shares sessions between "
                "transactions: a queryset's iterator() fails.",
                hint="Set DISABLE_SERVER_SIDE_CURSORS of the database to True.",
                id="a2a.W015",
            )
        )
    if has_prepared:
        findings.append(
            checks.Warning(
                "Statements are prepared, and a pooler shares sessions between transactions.",
                hint="Remove OPTIONS['prepare_threshold'], unless your pooler knows prepared "
                "statements, as PgBouncer 1.22 with max_prepared_statements, and libpq is 17 or "
                "newer. Then silence this.",
                id="a2a.W016",
            )
        )
    return findings


@checks.register(TAG, checks.Tags.database)
def check_channel_layer_hears(databases: Any = None, **_: Any) -> list[Finding]:
    """Find a channel layer on PostgreSQL that connects to a pooler that mutes it (a2a.E010)."""
    try:
        layer: Any = get_channel_layer()
    except Exception:  # a2a.E006 reports it, whatever a layer may raise
        return []
    # Loaded only where the layer is, since it needs psycopg.
    connects = type(layer).__module__ == "a2a_app.layers.postgresql"
    if not connects or layer.database not in (databases or ()):
        return []
    if not _finds_shared(layer.check):
        return []
    return [
        checks.Error(
            f"The channel layer on PostgreSQL hears nothing: its database {layer.database!r} is "
            "behind a pooler that shares sessions between transactions.",
            hint="Name an alias of DATABASES with a direct connection in CONFIG['database'].",
            id="a2a.E010",
        )
    ]


@checks.register(TAG, deploy=True)
def check_limits_of_connections(**_: Any) -> list[Finding]:
    """Find connections to PostgreSQL that wait for a silent network for hours (a2a.W017).

    The app's own have limits in any case. Those of the project's code, such as an authenticator's,
    have what OPTIONS says.
    """
    connection = connections[database.alias()]
    options = connection.settings_dict.get("OPTIONS", {})
    missing = [name for name in ("connect_timeout", "tcp_user_timeout") if name not in options]
    if connection.vendor != "postgresql" or not missing:
        return []
    return [
        checks.Warning(
            "Where the network to PostgreSQL falls silent, the project's own queries wait for "
            "hours.",
            hint=f"Set {' and '.join(missing)} in OPTIONS, such as 5 seconds and 10_000 "
            "milliseconds.",
            id="a2a.W017",
        )
    ]


def _finds_shared(check: Callable[[], Any]) -> bool:
    from a2a_app.layers.session import SharedSessionError  # loaded here: it needs psycopg

    try:
        async_to_sync(check)()
    except SharedSessionError:
        return True
    return False
