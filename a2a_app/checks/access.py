"""System checks of what callers may do, and of what they show for it."""

from collections.abc import Mapping
from typing import Any

from django.core import checks
from django.core.cache import caches
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from a2a_app import conf, database
from a2a_app.agents import registry
from a2a_app.agents.base import REST
from a2a_app.authentication import BasicAuth
from a2a_app.authentication.api_keys import WARNING_DAYS, keys_to_rotate
from a2a_app.bindings.callers import CARD_OPERATION, authenticators
from a2a_app.checks.project import TAG, Finding
from a2a_app.models import ApiKey
from a2a_app.operations import OPERATIONS
from a2a_app.operations.call import SCOPES

UNSHARED_CACHES = (LocMemCache, DummyCache)


@checks.register(TAG)
def check_permissions(**_: Any) -> list[Finding]:
    """Find a mapping of permissions that names what there is not, or too little (a2a.E015)."""
    findings: list[Finding] = []
    for agent in registry:
        if not isinstance(agent.permission, Mapping):
            continue
        named = set(agent.permission)
        unknown = named - {*OPERATIONS, *SCOPES, CARD_OPERATION, REST}
        left_out = [
            each.name for each in OPERATIONS.values() if not named & {each.name, each.scope, REST}
        ]
        faults = {"names no operation by": sorted(unknown), "lets nobody use": left_out}
        findings += [
            checks.Error(
                f"The permission of the agent {agent.slug!r} {fault} {', '.join(names)}.",
                hint=f"Name operations, {', '.join(SCOPES)}, or {REST!r} for the rest.",
                id="a2a.E015",
            )
            for fault, names in faults.items()
            if names
        ]
    return findings


@checks.register(TAG)
def check_budgets(**_: Any) -> list[Finding]:
    """Find a budget for an agent that there is not (a2a.E030)."""
    try:
        named = {budget.agent for budget in conf.current().budgets}
    except ImproperlyConfigured:
        return []  # a2a.E001 reports it
    slugs = registry.slugs()
    return [
        checks.Error(
            f"A2A['BUDGETS'] names the agent {slug!r}, which there is not.",
            hint=conf.suggestion(slug, slugs) or None,
            id="a2a.E030",
        )
        for slug in sorted(named - {"", *slugs})
    ]


@checks.register(TAG, deploy=True)
def check_guesses(**_: Any) -> list[Finding]:
    """Find BasicAuth where each process counts wrong passwords by itself (a2a.W025)."""
    try:
        found = [each for each in authenticators().values() if isinstance(each, BasicAuth)]
    except (ImproperlyConfigured, ImportError):
        return []  # a2a.E001 reports it
    aliases = {each.cache for each in found if isinstance(caches[each.cache], UNSHARED_CACHES)}
    return [
        checks.Warning(
            f"BasicAuth counts wrong passwords in CACHES[{alias!r}], which processes do not share.",
            hint="Use a cache that all servers share, such as Redis.",
            id="a2a.W025",
        )
        for alias in sorted(aliases)
    ]


@checks.register(TAG, checks.Tags.database)
def check_keys(databases: Any = None, **_: Any) -> list[Finding]:
    """Find API keys that are in use and expire soon (a2a.W026)."""
    alias = database.alias()
    if alias not in (databases or ()):
        return []
    # Before the first `migrate` there is no such table.
    if ApiKey._meta.db_table not in connections[alias].introspection.table_names():
        return []
    prefixes = [row.prefix for row in keys_to_rotate()]
    if not prefixes:
        return []
    return [
        checks.Warning(
            f"API keys that are in use expire within {WARNING_DAYS} days: {', '.join(prefixes)}.",
            hint="Issue others in their place by `manage.py a2a_key rotate`.",
            id="a2a.W026",
        )
    ]


@checks.register(TAG, deploy=True)
def check_cache_is_shared(**_: Any) -> list[Finding]:
    """Find requests that each process counts for itself, or nobody does (a2a.W018)."""
    try:
        current = conf.current()
    except ImproperlyConfigured:
        return []  # a2a.E001 reports it
    if not current.requests_per_minute or not isinstance(caches["default"], UNSHARED_CACHES):
        return []
    return [
        checks.Warning(
            "A2A['REQUESTS_PER_MINUTE'] is counted in a cache that processes do not share.",
            hint="Set CACHES['default'] to a cache that all servers share, such as Redis.",
            id="a2a.W018",
        )
    ]
