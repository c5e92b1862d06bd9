"""System checks: what `manage.py check` finds before a request does."""

from pathlib import Path
from typing import Any

from channels.layers import get_channel_layer
from django.conf import settings as django_settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import FileSystemStorage
from django.db import connections

from a2a_app import conf, database, runners
from a2a_app.agents import AgentNotFoundError, registry
from a2a_app.agents.cards import ServedAt, agent_card, card_faults
from a2a_app.bindings import callers, tenants
from a2a_app.bindings.security import declared_security
from a2a_app.files.storage import FOLDER, get_storage
from a2a_app.protocol import InvalidAgentResponseError

TAG = "a2a"
DISTRIBUTION = "django-agent2agent"
Finding = checks.CheckMessage
IN_MEMORY = "channels.layers.InMemoryChannelLayer"
BYPASS = "a2a_app.middleware.bypass"
OF_USERS = "django.contrib.auth.middleware.AuthenticationMiddleware"


@checks.register(TAG)
def check_settings(**_: Any) -> list[Finding]:
    """a2a.E001: the A2A dict, or something it names, is wrong. The other checks need it right."""
    try:
        conf.current()
        runners.current()
        declared_security()
        callers.owner_resolver()
        get_storage(conf.current().storage)
    except (ImproperlyConfigured, ImportError) as error:
        return [checks.Error(str(error), id="a2a.E001")]
    return []


@checks.register(TAG)
def check_storage(**_: Any) -> list[Finding]:
    """a2a.W012: files are kept in MEDIA_ROOT, which a project serves to everybody."""
    try:
        storage = get_storage(conf.current().storage)
    except ImproperlyConfigured:
        return []  # a2a.E001 says so
    media = django_settings.MEDIA_ROOT
    if not media or not isinstance(storage, FileSystemStorage):
        return []
    if not Path(storage.location).is_relative_to(Path(media).absolute()):
        return []
    return [
        checks.Warning(
            f"Files of tasks are kept in {storage.location}, and so in MEDIA_ROOT.",
            hint="Name in A2A['STORAGE'] an alias of STORAGES that is not public.",
            id="a2a.W012",
        )
    ]


@checks.register(TAG)
def check_runner(**_: Any) -> list[Finding]:
    """a2a.E005: the project lacks what its runner needs."""
    try:
        lacking = runners.current().check()
    except ImproperlyConfigured:
        return []  # a2a.E001 says so
    return [checks.Error(text, id="a2a.E005") for text in lacking]


@checks.register(TAG, deploy=True)
def check_storage_is_shared(**_: Any) -> list[Finding]:
    """a2a.W013: files are kept where other machines do not find them."""
    try:
        current = conf.current()
    except ImproperlyConfigured:
        return []  # a2a.E001 says so
    if current.storage or not current.raw_limit:
        return []
    return [
        checks.Warning(
            f"Files of tasks are kept in the folder {FOLDER} of this machine.",
            hint="Name in A2A['STORAGE'] an alias of STORAGES that all servers and workers share.",
            id="a2a.W013",
        )
    ]


@checks.register(TAG)
def check_default_agent(**_: Any) -> list[Finding]:
    """a2a.E002: DEFAULT_AGENT names no agent. a2a.W001: it is not set, and there are several."""
    known = ", ".join(sorted(agent.slug for agent in registry)) or "none"
    try:
        registry.default()
    except AgentNotFoundError:
        wanted = conf.current().default_agent
        if wanted:
            text = f"A2A['DEFAULT_AGENT'] is {wanted!r}; the agents are: {known}."
            return [checks.Error(text, id="a2a.E002")]
        return [
            checks.Warning(
                "The site has no agent card of its own.",
                hint=f"Set A2A['DEFAULT_AGENT'] to one of the agents: {known}.",
                id="a2a.W001",
            )
        ]
    except ImproperlyConfigured:
        pass  # a2a.E001 says so
    return []


@checks.register(TAG)
def check_security(**_: Any) -> list[Finding]:
    """a2a.W010: callers must authenticate, and cards do not say how."""
    try:
        silent = conf.current().anonymous == "refuse" and not declared_security().schemes
    except (ImproperlyConfigured, ImportError):
        return []  # a2a.E001 says so
    if not silent or all(agent.security_schemes for agent in registry):
        return []
    return [
        checks.Warning(
            "Callers without credentials are refused, and cards do not say which are wanted.",
            hint="Give an authenticator in A2A['AUTHENTICATION'] the attribute security_scheme.",
            id="a2a.W010",
        )
    ]


@checks.register(TAG)
def check_identities(**_: Any) -> list[Finding]:
    """a2a.E009: an authenticator, by its annotations, returns what cannot own tasks."""
    try:
        return [checks.Error(text, id="a2a.E009") for text in callers.unfit_identities()]
    except (ImproperlyConfigured, ImportError):
        return []  # a2a.E001 says so


@checks.register(TAG)
def check_tenants(**_: Any) -> list[Finding]:
    """a2a.E007: TENANT_RESOLVER names nothing that can be called."""
    try:
        if not conf.current().tenant_resolver:
            return []
    except ImproperlyConfigured:
        return []  # a2a.E001 says so
    try:
        tenants.resolver()
    except (ImproperlyConfigured, ImportError) as error:
        return [checks.Error(str(error), id="a2a.E007")]
    return []


@checks.register(TAG)
def check_bypass(**_: Any) -> list[Finding]:
    """a2a.E008: an authenticator asks for the session, and requests bypass its middleware."""
    try:
        keys = [scheme.api_key_security_scheme for scheme in declared_security().schemes.values()]
    except (ImproperlyConfigured, ImportError):
        return []  # a2a.E001 says so
    cookie = django_settings.SESSION_COOKIE_NAME
    asked = any(key and (key.location, key.name) == ("cookie", cookie) for key in keys)
    middleware = list(django_settings.MIDDLEWARE)
    passed_by = middleware[middleware.index(BYPASS) :] if BYPASS in middleware else []
    if not asked or OF_USERS not in passed_by:
        return []
    text = "An authenticator asks for the session, and requests bypass the middleware for it."
    return [checks.Error(text, hint=f"Put {BYPASS} below {OF_USERS}.", id="a2a.E008")]


@checks.register(TAG)
def check_signing(**_: Any) -> list[Finding]:
    """a2a.E003: SIGNING_KEY cannot sign the cards."""
    try:
        if not conf.current().signing_key:
            return []
    except ImproperlyConfigured:
        return []  # a2a.E001 says so
    try:
        from a2a_app.agents import signing  # loaded here: its libraries come with an extra

        signing.signing_key()
        for agent in registry:
            signing.canonical(agent_card(agent, ServedAt()))
    except ImportError:
        text = "A2A['SIGNING_KEY'] needs the extra 'signing'."
        return [checks.Error(text, hint=f"pip install '{DISTRIBUTION}[signing]'", id="a2a.E003")]
    except (ImproperlyConfigured, InvalidAgentResponseError) as error:
        return [checks.Error(str(error), id="a2a.E003")]
    return []


@checks.register(TAG)
def check_cards(**_: Any) -> list[Finding]:
    """a2a.E004: a card says what it must not. a2a.W011: nobody could get an extended card."""
    try:
        security = declared_security()
    except (ImproperlyConfigured, ImportError):
        return []  # a2a.E001 says so
    served = ServedAt(
        security_schemes=security.schemes, security_requirements=security.requirements
    )
    findings: list[Finding] = []
    for agent in registry:
        card = agent_card(agent, served)
        whole = card.model_copy(update={"skills": [*card.skills, *agent.extended_skills]})
        findings += [
            checks.Error(f"The card of the agent {agent.slug!r} {fault}.", id="a2a.E004")
            for fault in card_faults(whole)
        ]
        if agent.has_extended_card and not callers.authenticators():
            findings.append(
                checks.Warning(
                    f"The agent {agent.slug!r} has an extended card, and nobody can get it.",
                    hint="It is for known callers: set A2A['AUTHENTICATION'].",
                    id="a2a.W011",
                )
            )
    return findings


@checks.register(TAG)
def check_channel_layer(**_: Any) -> list[Finding]:
    """a2a.E006: a wrong channel layer. a2a.W002: none. a2a.W003: in memory, outside DEBUG."""
    layer = getattr(django_settings, "CHANNEL_LAYERS", {}).get("default")
    if layer is None:
        return [
            checks.Warning(
                "There is no channel layer: streams hear of events only by polling.",
                hint="Set CHANNEL_LAYERS['default'], to the one in memory for a single process.",
                id="a2a.W002",
            )
        ]
    try:
        get_channel_layer()
    # A CONFIG with a misspelt name is a TypeError, and layers have errors of their own.
    except Exception as error:
        text = f"CHANNEL_LAYERS['default'] cannot be used: {error}"
        return [checks.Error(text, id="a2a.E006")]
    if layer.get("BACKEND") == IN_MEMORY and not django_settings.DEBUG:
        return [
            checks.Warning(
                "The channel layer is in memory: other processes' events are found by polling.",
                hint="Where there is more than one process, use channels_redis, or on PostgreSQL "
                "a2a_app.layers.PostgreSQLChannelLayer.",
                id="a2a.W003",
            )
        ]
    return []


@checks.register(TAG, checks.Tags.database)
def check_sqlite(databases: Any = None, **_: Any) -> list[Finding]:
    """a2a.W004: SQLite without IMMEDIATE transactions. a2a.W005: without the write-ahead log."""
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


@checks.register(TAG, deploy=True)
def check_deployment(**_: Any) -> list[Finding]:
    """Find what is unsafe.

    a2a.W006: open to everybody. a2a.W007: cards repeat whatever host a request names. a2a.W008:
    notifications may be read on their way.
    """
    try:
        current = conf.current()
    except ImproperlyConfigured:
        return []  # a2a.E001 says so
    findings: list[Finding] = []
    if current.anonymous == "share":
        findings.append(
            checks.Warning(
                "Anybody may use the agents, and callers without credentials share their tasks.",
                hint="Set A2A['AUTHENTICATION'], and A2A['ANONYMOUS'] to 'refuse'.",
                id="a2a.W006",
            )
        )
    if not current.public_url:
        findings.append(
            checks.Warning(
                "Cards get their URLs from each request's Host.",
                hint="Set A2A['PUBLIC_URL'], such as 'https://agents.example.com'.",
                id="a2a.W007",
            )
        )
    if current.push_allow_http:
        findings.append(
            checks.Warning(
                "Webhooks may have plain http URLs.",
                hint="Take A2A['PUSH_ALLOW_HTTP'] out.",
                id="a2a.W008",
            )
        )
    return findings
