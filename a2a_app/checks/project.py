"""System checks of the settings, the agents and what they name."""

from pathlib import Path
from typing import Any

from channels.layers import get_channel_layer
from django.conf import settings as django_settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import FileSystemStorage

from a2a_app import conf, runners
from a2a_app.agents import AgentNotFoundError, registry
from a2a_app.agents.cards import ServedAt, agent_card, card_faults
from a2a_app.bindings import callers, hand_on, tenants
from a2a_app.bindings.metrics import metrics_writer
from a2a_app.bindings.security import declared_security
from a2a_app.files.storage import FOLDER, get_storage
from a2a_app.models import owners
from a2a_app.protocol import InvalidAgentResponseError
from a2a_app.store import budgets

TAG = "a2a"
DISTRIBUTION = "django-agent2agent"
Finding = checks.CheckMessage
IN_MEMORY = "channels.layers.InMemoryChannelLayer"
BYPASS = "a2a_app.middleware.bypass"
USER_MIDDLEWARE = "django.contrib.auth.middleware.AuthenticationMiddleware"
_WRITE_ONE = "Write one in the module agents.py of an app in INSTALLED_APPS."


@checks.register(TAG)
def check_settings(**_: Any) -> list[Finding]:
    """Find an error in the A2A dict or in something that it names (a2a.E001).

    The other checks find nothing while there is one.
    """
    try:
        conf.current()
        runners.current()
        declared_security()
        callers.owner_resolver()
        hand_on.hook()
        owners.owner_models()
        budgets.functions()
        get_storage(conf.current().storage)
        if conf.current().metrics_token:
            metrics_writer()
    except (ImproperlyConfigured, ImportError) as error:
        return [checks.Error(str(error), id="a2a.E001")]
    return []


@checks.register(TAG)
def check_storage(**_: Any) -> list[Finding]:
    """Find files in MEDIA_ROOT, which projects serve to everybody (a2a.W012)."""
    try:
        storage = get_storage(conf.current().storage)
    except ImproperlyConfigured:
        return []  # a2a.E001 reports it
    media = django_settings.MEDIA_ROOT
    if not media or not isinstance(storage, FileSystemStorage):
        return []
    if not Path(storage.location).is_relative_to(Path(media).absolute()):
        return []
    return [
        checks.Warning(
            f"Files of tasks are stored in {storage.location}, which is in MEDIA_ROOT.",
            hint="Name in A2A['STORAGE'] an alias of STORAGES that is not public.",
            id="a2a.W012",
        )
    ]


@checks.register(TAG)
def check_runner(**_: Any) -> list[Finding]:
    """Find what the runner needs and the project lacks (a2a.E005)."""
    try:
        missing = runners.current().check()
    except ImproperlyConfigured:
        return []  # a2a.E001 reports it
    return [checks.Error(text, id="a2a.E005") for text in missing]


@checks.register(TAG, deploy=True)
def check_storage_is_shared(**_: Any) -> list[Finding]:
    """Find files in a folder that other machines do not have (a2a.W013)."""
    try:
        current = conf.current()
    except ImproperlyConfigured:
        return []  # a2a.E001 reports it
    if current.storage or not current.raw_limit:
        return []
    return [
        checks.Warning(
            f"Files of tasks are stored in the folder {FOLDER} of this machine.",
            hint="Name in A2A['STORAGE'] an alias of STORAGES that all servers and workers share.",
            id="a2a.W013",
        )
    ]


@checks.register(TAG)
def check_default_agent(**_: Any) -> list[Finding]:
    """Find a DEFAULT_AGENT that names no agent (a2a.E002), or that a site has none (a2a.W001)."""
    known = ", ".join(sorted(agent.slug for agent in registry)) or "none"
    try:
        registry.default()
    except AgentNotFoundError:
        wanted = conf.current().default_agent
        if wanted:
            text = f"A2A['DEFAULT_AGENT'] is {wanted!r}; the agents are: {known}."
            hint = conf.suggestion(wanted, registry.slugs()) if registry.slugs() else _WRITE_ONE
            return [checks.Error(text, hint=hint or None, id="a2a.E002")]
        if not registry.slugs():
            return [checks.Warning("There is no agent.", hint=_WRITE_ONE, id="a2a.W001")]
        return [
            checks.Warning(
                "The site has no agent card of its own.",
                hint=f"Set A2A['DEFAULT_AGENT'] to one of the agents: {known}.",
                id="a2a.W001",
            )
        ]
    except ImproperlyConfigured:
        pass  # a2a.E001 reports it
    return []


@checks.register(TAG)
def check_security(**_: Any) -> list[Finding]:
    """Find that nobody may call, or that cards do not say how to authenticate (a2a.W010)."""
    try:
        undeclared = conf.current().anonymous == "refuse" and not declared_security().schemes
        if undeclared and not callers.authenticators():
            return [
                checks.Warning(
                    "Every call is refused: nothing says who may use the agents.",
                    hint="Set A2A['AUTHENTICATION'], or for a first try A2A['ANONYMOUS'] to "
                    "'share'.",
                    id="a2a.W010",
                )
            ]
    except (ImproperlyConfigured, ImportError):
        return []  # a2a.E001 reports it
    if not undeclared or all(agent.security_schemes for agent in registry):
        return []
    return [
        checks.Warning(
            "Callers without credentials are refused, and cards do not say which are needed.",
            hint="Give an authenticator in A2A['AUTHENTICATION'] the attribute security_scheme.",
            id="a2a.W010",
        )
    ]


@checks.register(TAG)
def check_identities(**_: Any) -> list[Finding]:
    """Find an authenticator that, by its annotations, returns what cannot own tasks (a2a.E009)."""
    try:
        return [checks.Error(text, id="a2a.E009") for text in callers.unfit_identities()]
    except (ImproperlyConfigured, ImportError):
        return []  # a2a.E001 reports it


@checks.register(TAG)
def check_tenants(**_: Any) -> list[Finding]:
    """Find a TENANT_RESOLVER that names nothing callable (a2a.E007)."""
    try:
        if not conf.current().tenant_resolver:
            return []
    except ImproperlyConfigured:
        return []  # a2a.E001 reports it
    try:
        tenants.resolver()
    except (ImproperlyConfigured, ImportError) as error:
        return [checks.Error(str(error), id="a2a.E007")]
    return []


@checks.register(TAG)
def check_bypass(**_: Any) -> list[Finding]:
    """Find an authenticator that needs the session whose middleware is bypassed (a2a.E008)."""
    try:
        keys = [scheme.api_key_security_scheme for scheme in declared_security().schemes.values()]
    except (ImproperlyConfigured, ImportError):
        return []  # a2a.E001 reports it
    cookie = django_settings.SESSION_COOKIE_NAME
    needs_session = any(key and (key.location, key.name) == ("cookie", cookie) for key in keys)
    middleware = list(django_settings.MIDDLEWARE)
    bypassed = middleware[middleware.index(BYPASS) :] if BYPASS in middleware else []
    if not needs_session or USER_MIDDLEWARE not in bypassed:
        return []
    text = "An authenticator needs the session, and requests bypass the middleware for it."
    return [checks.Error(text, hint=f"Put {BYPASS} below {USER_MIDDLEWARE}.", id="a2a.E008")]


@checks.register(TAG)
def check_signing(**_: Any) -> list[Finding]:
    """Find a SIGNING_KEY that cannot sign the cards (a2a.E003)."""
    try:
        if not conf.current().signing_key:
            return []
    except ImproperlyConfigured:
        return []  # a2a.E001 reports it
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
    """Find faults of cards (a2a.E004), and extended cards that nobody can get (a2a.W011)."""
    try:
        security = declared_security()
    except (ImproperlyConfigured, ImportError):
        return []  # a2a.E001 reports it
    served = ServedAt(
        security_schemes=security.schemes, security_requirements=security.requirements
    )
    findings: list[Finding] = []
    for agent in registry:
        card = agent_card(agent, served)
        with_all_skills = card.model_copy(update={"skills": [*card.skills, *agent.extended_skills]})
        findings += [
            checks.Error(f"The card of the agent {agent.slug!r} {fault}.", id="a2a.E004")
            for fault in card_faults(with_all_skills)
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
    """Find a channel layer that fails (a2a.E006), is missing (a2a.W002), in memory (a2a.W003)."""
    layer = getattr(django_settings, "CHANNEL_LAYERS", {}).get("default")
    if layer is None:
        return [
            checks.Warning(
                "There is no channel layer: streams find events only by polling.",
                hint="Set CHANNEL_LAYERS['default']. The one in memory is enough for one process.",
                id="a2a.W002",
            )
        ]
    try:
        get_channel_layer()
    # A CONFIG with a misspelt name is a TypeError, and layers have errors of their own.
    except Exception as error:
        text = f"CHANNEL_LAYERS['default'] cannot be used: {error}"
        return [checks.Error(text, id="a2a.E006")]
    if layer.get("BACKEND") == IN_MEMORY and (not django_settings.DEBUG or _has_workers()):
        return [
            checks.Warning(
                "The channel layer is in memory: other processes find events only by polling.",
                hint="Where there is more than one process, use channels_redis, or on PostgreSQL "
                "a2a_app.layers.PostgreSQLChannelLayer.",
                id="a2a.W003",
            )
        ]
    return []


def _has_workers() -> bool:
    try:
        return not runners.current().runs_here
    except ImproperlyConfigured:
        return False  # a2a.E001 reports it


@checks.register(TAG, deploy=True)
def check_proxy(**_: Any) -> list[Finding]:
    """Find cards that say http behind a proxy that speaks TLS (a2a.W014)."""
    try:
        if conf.current().public_url or django_settings.SECURE_PROXY_SSL_HEADER:
            return []
    except ImproperlyConfigured:
        return []  # a2a.E001 reports it
    return [
        checks.Warning(
            "Behind a proxy that speaks TLS, cards have http URLs.",
            hint="Set A2A['PUBLIC_URL'], or SECURE_PROXY_SSL_HEADER to a header of the proxy's.",
            id="a2a.W014",
        )
    ]


@checks.register(TAG, deploy=True)
def check_deployment(**_: Any) -> list[Finding]:
    """Find settings that are unsafe on a public server.

    These are agents that are open to everybody (a2a.W006), cards that repeat whatever host a
    request names (a2a.W007), and notifications that can be read on their way (a2a.W008).
    """
    try:
        current = conf.current()
    except ImproperlyConfigured:
        return []  # a2a.E001 reports it
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
                hint="Remove A2A['PUSH_ALLOW_HTTP'].",
                id="a2a.W008",
            )
        )
    return findings
