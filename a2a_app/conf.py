"""The settings: one dict, `A2A`, in the project's Django settings.

`current()` gives them as one frozen object, so that a misspelt name or a value of the wrong type
is found by `manage.py check` and not by a request.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal, TypeVar, cast

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from pydantic import BaseModel, ConfigDict, Field, ValidationError

NAME = "A2A"

F = TypeVar("F", bound=Callable[..., Any])


class Settings(BaseModel):
    """What the `A2A` dict may hold: the names in capitals, each with its default."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=str.upper)

    default_agent: str = ""
    """Slug of the agent whose card is the site's; empty: the only agent there is."""

    public_url: str = ""
    """Scheme and host that clients reach, put into cards; empty: taken from each request."""

    protocol_versions: tuple[Literal["1.0", "0.3"], ...] = Field(("1.0", "0.3"), min_length=1)
    """Versions of the protocol that are served, the preferred first."""

    anonymous: Literal["refuse", "share"] = "refuse"
    """What callers without credentials get: an error, or tasks that all of them share."""

    authentication: tuple[str, ...] = ()
    """Dotted paths of authenticators: callables that take the request and return the user,
    or None for "not mine"; django-ninja's own classes fit. The first answer counts."""

    owner_resolver: str = ""
    """Dotted path of a callable that takes what an authenticator returned, and returns what owns
    the caller's tasks: a saved row, such as a user, or a name; empty: what the authenticator
    returned owns them."""

    tenant_resolver: str = ""
    """Dotted path of a callable that says which part of the server the `tenant` of a request is,
    and which agent answers it; empty: tenants are ignored."""

    signing_key: str = Field("", repr=False)
    """The private key that signs cards, in PEM, or the dotted path of a callable that gives it;
    empty: cards are not signed."""

    signing_key_id: str = ""
    """What clients know the signing key by; empty: its thumbprint (RFC 7638)."""

    runner: str = "embedded"
    """What makes turns run: `embedded` (in the serving process), `procrastinate`, `tasks`, or a
    dotted path to a Runner."""

    task_backend: str = "default"
    """For the runner `tasks`: the alias in TASKS of the backend that brings turns to workers."""

    task_queue: str = "default"
    """For the runner `tasks`: the queue its turns are put into."""

    max_runs: int = Field(100, ge=1)
    """How many turns one process works on at once; the others wait in the database."""

    lease_seconds: float = Field(15.0, gt=0)
    """For how long a run belongs to a process that gives no sign of life; three are due a lease."""

    shutdown_seconds: float = Field(5.0, ge=0)
    """How long turns under way may go on once a process is asked to end; then they are given up."""

    sweep_seconds: float = Field(5.0, gt=0)
    """How often a process looks for runs that nobody began, or whose process is gone."""

    poll_seconds: float = Field(1.0, gt=0)
    """How often a process asks the database for events its channel layer may have lost."""

    keepalive_seconds: float = Field(15.0, gt=0)
    """After how much silence a stream sends a comment, so that no proxy closes it."""

    stream_buffer: int = Field(256, ge=1)
    """How many events wait in memory for one slow stream before it reads them from the log."""

    database_threads: int | None = Field(None, ge=1)
    """How many threads, each with its own connection, do the database work of one process;
    None: 1 on SQLite, which has one writer, and 8 elsewhere."""

    max_body_bytes: int = Field(10 * 1024 * 1024, ge=1)
    """How large a request may be. DATA_UPLOAD_MAX_MEMORY_SIZE does not count here."""

    raw_limit: int = Field(64 * 1024, ge=0)
    """How many bytes a part may have and stay in its message; more become a file. 0: any number.
    So many, in base64, still fit into one message of a channel layer."""

    storage: str = ""
    """Alias in STORAGES of where files are kept, which must not be public; empty: the folder
    `a2a_files` in the project's BASE_DIR."""

    link_seconds: float = Field(3600.0, gt=0)
    """For how long the link to a file is good."""

    idempotency_seconds: float = Field(86400.0, gt=0)
    """For how long a message that is sent again under the same key joins the first."""

    push_hosts: tuple[str, ...] = ()
    """Hosts that webhooks may have, `.example.com` for all below it; empty: any whose address is
    public. One that is named here may have any address."""

    push_allow_http: bool = False
    """Whether webhooks may have plain http URLs, on which anybody in between reads along."""

    push_chunks: bool = True
    """Whether webhooks get the chunks of artifacts too; else changes of status only."""

    push_configs_per_task: int = Field(10, ge=1)
    """How many push notification configurations a task may have."""

    push_concurrency: int = Field(50, ge=1)
    """How many webhooks one process sends to at once."""

    push_timeout_seconds: float = Field(15.0, gt=0)
    """How long a webhook may take to answer."""

    push_retry_seconds: float = Field(1.0, gt=0)
    """How long to wait after a webhook's first failure; each further one doubles it, to 5 min."""

    push_patience_seconds: float = Field(86400.0, ge=0)
    """For how long a webhook may fail before it is given up."""

    api_docs: bool = True
    """Whether there is a page about the API, with its description for tools."""

    card_max_age: int = Field(300, ge=0)
    """For how many seconds clients may keep a card (section 8.6.1)."""


def cached(*settings: str, maxsize: int | None = None) -> Callable[[F], F]:
    """Cache what a function makes of settings until one of them changes, as tests do.

    Args:
        settings: The names of the Django settings it depends on; none: `A2A`.
        maxsize: How many results are cached, one for each set of arguments; None: all of them.

    Returns:
        A decorator. What it makes has `cache_clear`, as from `functools.lru_cache`.
    """
    watched = settings or (NAME,)

    def decorate(function: F) -> F:
        caching = lru_cache(maxsize)(function)

        def forget(*, setting: str, **_: Any) -> None:
            if setting in watched:
                caching.cache_clear()

        setting_changed.connect(forget, weak=False)
        return cast("F", caching)

    return decorate


@cached()
def current() -> Settings:
    """Give the project's settings; raises ImproperlyConfigured naming each bad entry."""
    given: Any = getattr(django_settings, NAME, {})
    if not isinstance(given, dict):
        raise ImproperlyConfigured(f"{NAME} must be a dict, not {type(given).__name__}.")
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        raise ImproperlyConfigured(_explain(error)) from error


def _explain(error: ValidationError) -> str:
    known = ", ".join(name.upper() for name in Settings.model_fields)
    lines = []
    for problem in error.errors():
        key = ".".join(str(step) for step in problem["loc"])
        hint = (
            f"unknown; there are {known}"
            if problem["type"] == "extra_forbidden"
            else problem["msg"]
        )
        lines.append(f"{NAME}[{key!r}]: {hint}")
    return "\n".join(lines)
