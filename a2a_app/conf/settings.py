"""The settings of the app, their types and their defaults."""

from datetime import timedelta
from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from a2a_app.conf.entries import Budget, RemoteAgentSettings, Retention


class Settings(BaseModel):
    """The keys that the `A2A` dict may have, there in capitals, and their defaults."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=str.upper,
        # No text of an error quotes a secret, and nothing multiplies, adds or waits for infinity.
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )

    default_agent: str = ""
    """Slug of the agent whose card is the site's. Empty: the only agent there is."""

    public_url: str = Field("", pattern=r"^(https?://[^\s/?#]+[^\s?#]*)?$")
    """Scheme and host under which clients reach the server, for the cards. Empty: taken from each
    request."""

    catalog_name: str = ""
    """The name of whoever runs the site, in its catalog of agents. Empty: the host of its URL."""

    grpc_url: str = ""
    """Where clients reach what `manage.py a2a_grpc` serves, as they dial it: host and port, without
    a scheme, such as `agents.example.com:50051`. Cards list it. Empty: they do not."""

    websocket: bool = False
    """Whether agents are served over WebSocket too, at their URLs. Cards list it then."""

    drafts: tuple[Literal["1.1"], ...] = ()
    """Versions of the protocol that are not final, and that may be served all the same. What they
    have may change with each release of the app. `1.1`: each card has the extension for the
    generations of tasks, and PROTOCOL_VERSIONS may name 1.1."""

    protocol_versions: tuple[Literal["1.1", "1.0", "0.3"], ...] = Field(
        ("1.0", "0.3"), min_length=1
    )
    """Versions of the protocol that are served, the preferred one first. 1.1 is a draft, and has to
    be among DRAFTS too."""

    anonymous: Literal["refuse", "share"] = "refuse"
    """How callers without credentials are treated. `refuse`: each gets an error. `share`: all of
    them share one set of tasks."""

    authentication: tuple[str, ...] = ()
    """Dotted paths of authenticators: classes or callables that take the request and return the
    user, or None. The classes of django-ninja fit. The first that returns a user decides."""

    owner_resolver: str = ""
    """Dotted path of a callable that takes what an authenticator returned, and returns what owns
    the caller's tasks: a saved row, such as a user, or a name; empty: what the authenticator
    returned owns them."""

    owner_models: tuple[str, ...] = ()
    """Labels of the models besides the user model whose rows may own tasks, such as
    `shop.Customer`. The app hears of the deletion of their rows."""

    owner_deleted: Literal["keep", "forget", "refuse"] = "keep"
    """What becomes of the tasks of a user, or of another row that owns tasks, that is deleted.
    `keep`: they stay, under a name that nobody has again. `forget`: they are deleted with it.
    `refuse`: it cannot be deleted."""

    retention: tuple[Retention, ...] = ()
    """How long tasks and conversations are kept, each rule for some of them. The first rule that
    fits decides. Empty: they are kept until a command deletes them."""

    tenant_resolver: str = ""
    """Dotted path of a callable that decides what the `tenant` of a request means, and which agent
    answers it. Empty: tenants are ignored."""

    hand_on: str = ""
    """Dotted path of a callable that takes a message's request and returns a dict of what its agent
    gets of it, such as a token. It is stored encrypted until the turn ends. Empty: nothing."""

    api_key_days: int | None = Field(365, ge=1)
    """For how many days an API key is valid whose issuer does not say otherwise. None: for ever."""

    access_seconds: float = Field(30.0, gt=0)
    """How often it is asked again whether the callers of open streams and of waiting requests still
    have access. What is known to have changed is asked at once."""

    requests_per_minute: int = Field(0, ge=0)
    """How many requests a caller may make in a minute, and an address without valid credentials.
    They are counted in Django's cache, which all processes must share. 0: no limit."""

    signing_key: str = Field("", repr=False)
    """The private key that signs cards, in PEM, or the dotted path of a callable that returns it.
    Empty: cards are not signed."""

    signing_key_id: str = ""
    """The id by which clients know the signing key. Empty: its thumbprint (RFC 7638)."""

    runner: str = "embedded"
    """Where turns run. `embedded`: in the serving process. `procrastinate`, `tasks` or `celery`: on
    workers. Or a dotted path to a subclass of `a2a_app.runners.Runner`."""

    task_backend: str = "default"
    """For the runner `tasks`: the alias in TASKS of the backend that brings turns to workers."""

    task_queue: str = "default"
    """For the runner `tasks`: the queue into which its turns are put."""

    max_runs: int = Field(100, ge=1)
    """How many turns one process works on at once. The others wait in the database."""

    running_turns_per_owner: int = Field(0, ge=0)
    """How many turns of one owner may be worked on at once, in all processes. The others wait. 0:
    as many as MAX_RUNS leaves it, which is at most four fifths of each process."""

    waiting_turns_per_owner: int = Field(1000, ge=0)
    """How many turns of one owner may wait until they are worked on. Further messages are refused.
    0: no limit."""

    waiting_turns_per_task: int = Field(50, ge=0)
    """How many messages may wait for their turn in one task. Further ones are refused. 0: no
    limit."""

    max_ask_depth: int = Field(8, ge=1)
    """How many turns may lead to each other, where one agent asks another by `turn.ask`, and that
    one the next. More are a loop, most likely."""

    lease_seconds: float = Field(15.0, gt=0)
    """How long a run still belongs to a process that has stopped renewing its lease. A process
    renews three times in that time."""

    shutdown_seconds: float = Field(5.0, ge=0)
    """How long turns under way may continue once a process is asked to end. Then they are given
    up."""

    sweep_seconds: float = Field(5.0, gt=0)
    """How often a process looks for turns that nobody has begun, and for runs whose process is
    gone."""

    directory_seconds: float = Field(3600.0, ge=0)
    """How often each agent elsewhere in the directory is looked at: whether it answers, and what
    its card says by now. 0: only where staff or `manage.py a2a_directory --refresh` does."""

    put_away_seconds: float = Field(5.0, ge=0)
    """How long a turn that waits keeps its place in its process. Where it may take longer, the turn
    is put away, and its code begins again when it goes on."""

    poll_seconds: float = Field(1.0, gt=0)
    """How often a process asks the database for events that its channel layer may have lost."""

    keepalive_seconds: float = Field(15.0, gt=0)
    """After how much silence a stream sends a comment, so that no proxy closes it."""

    long_poll_seconds: float = Field(30.0, gt=0)
    """For how long GetTask waits for a task to become newer, where a client asks for that. Proxies
    must wait for longer."""

    stream_buffer: int = Field(256, ge=1)
    """How many events wait in memory for a slow stream. One with more reads them from the log."""

    stream_bytes: int = Field(256 * 1024, ge=1)
    """How many bytes of events wait in memory for one slow stream, as `STREAM_BUFFER`. An event or
    a task with more is large: it is read when its stream or its answer has room for it among
    `ANSWER_BYTES`."""

    streams_per_owner: int = Field(200, ge=0)
    """How many streams and waiting requests one owner may have open in one process. 0: no limit."""

    reader_seconds: float = Field(30.0, gt=0)
    """How long a client may take nothing of what is sent to it. Then its connection is closed, and
    it may resume."""

    answer_bytes: int = Field(64 * 1024 * 1024, ge=1)
    """How many bytes of large tasks and events one process reads and sends at once. The others wait
    for their turn. One owner has at most four fifths of them, and less while others have some."""

    page_bytes: int = Field(4 * 1024 * 1024, ge=1)
    """How many bytes of tasks a page of ListTasks may have. It ends before the task that would be
    more, but not before its first."""

    database_threads: int | None = Field(None, ge=1)
    """How many threads, each with its own connection, do the database work of one process.
    None: 1 on SQLite, which has one writer, and 8 elsewhere. SQLite has as many more that only
    read."""

    database_seconds: float = Field(10.0, gt=0)
    """How long one unit of work with the database may take. Then its connection to PostgreSQL is
    closed, and the database counts as away. Also the limits of libpq where OPTIONS has none."""

    total_size_limit: int | None = Field(10_000, ge=1)
    """How far ListTasks counts. A list with more tasks has this number as its `totalSize`. None: it
    counts all of them, which takes longer the more there are."""

    max_body_bytes: int = Field(10 * 1024 * 1024, ge=1)
    """How large a request may be. DATA_UPLOAD_MAX_MEMORY_SIZE does not apply here."""

    max_json_values: int = Field(100_000, ge=1)
    """How many values the JSON of a request may have: each string, number and so on, each array and
    each object. To parse so many takes a few milliseconds, in which the process does nothing
    else."""

    max_parts: int = Field(1_000, ge=1, le=10_000)
    """How many parts a message of a client may have."""

    max_references: int = Field(100, ge=1, le=10_000)
    """How many other tasks a message may refer to, by `referenceTaskIds`."""

    body_media_types: tuple[str, ...] = ()
    """Media types of requests that are read as JSON besides `application/json` and all others that
    end with `+json`, such as `text/json`. A page of any site can send `text/plain`."""

    raw_limit: int = Field(64 * 1024, ge=0)
    """How many bytes a part may have and stay in its message. A larger one becomes a file. In
    base64, the default still fits into one message of a channel layer. 0: no limit."""

    stored_bytes_per_owner: int = Field(1024 * 1024 * 1024, ge=0)
    """How many bytes of tasks, messages and files one owner may have stored. Further messages are
    refused until some are deleted. 0: no limit."""

    budgets: tuple[Budget, ...] = ()
    """How much each caller, each tenant and each agent may use of language models in a day or a
    month. All entries hold that fit. Empty: there is no limit."""

    storage: str = ""
    """Alias in STORAGES of the storage for files, which must not be public. Empty: the folder
    `a2a_files` in the project's BASE_DIR."""

    link_seconds: float = Field(3600.0, gt=0)
    """How long the link to a file is valid."""

    idempotency_seconds: float = Field(86400.0, gt=0)
    """For how long a message that is sent again under the same key joins the first one."""

    push_hosts: tuple[str, ...] = ()
    """Hosts that webhooks may have; `.example.com` stands for all hosts below it. A host that is
    named here may have any address. Empty: every host whose address is public."""

    push_ports: tuple[int, ...] = (80, 443, 8443)
    """Ports that webhooks may have. A host that is named in PUSH_HOSTS may have any. Empty: any
    port."""

    push_allow_http: bool = False
    """Whether webhooks may have plain http URLs. Anybody on the way can read what is sent there."""

    push_allow_unresolved: bool = False
    """Whether a webhook is registered while no resolver answers for its host. Each delivery looks
    the address up and checks it in any case. False: the client is told to try again."""

    push_chunks: bool = True
    """Whether webhooks get the chunks of artifacts too. False: changes of status only."""

    push_snapshot: bool = False
    """Whether a webhook that is registered gets the task as it is first, and then what comes."""

    push_signatures: bool = False
    """Whether notifications are signed: by the token of their configuration, and by the key that
    signs the cards, where there is one."""

    push_validation: bool = False
    """Whether a webhook is registered only once its receiver has answered that it wants it."""

    push_configs_per_task: int = Field(10, ge=1)
    """How many push notification configurations a task may have."""

    push_backlog_per_owner: int = Field(10_000, ge=0)
    """How many webhooks of one owner may wait for events that they have not got yet, or whose task
    is being worked on. An owner with so many can configure no more until some have got theirs. 0:
    no limit."""

    push_concurrency: int = Field(50, ge=1)
    """How many webhooks one process sends to at once. One owner has at most four fifths of them,
    and less while others have some too."""

    push_timeout_seconds: float = Field(15.0, gt=0)
    """How long a webhook may take to answer."""

    push_retry_seconds: float = Field(1.0, gt=0)
    """The pause after a webhook's first failure. Each further one doubles it, up to 5 minutes."""

    push_patience_seconds: float = Field(86400.0, ge=0)
    """How long a webhook may go on failing before it is given up."""

    remote_agents: dict[str, RemoteAgentSettings] = Field({}, repr=False)
    """Agents elsewhere that this project calls, by the names that it has for them."""

    console: bool | None = None
    """Whether the console is served, where users with the permission `a2a_app.use_console` talk to
    agents. None: where DEBUG is on."""

    metrics_token: str = Field("", pattern=r"^(\S{16,})?$", repr=False)
    """The token for which Prometheus gets the site's figures, at `/a2a/metrics.txt`: 16 characters
    or more, without spaces. Empty: nobody gets them there."""

    api_docs: bool = True
    """Whether the page about the API and its description for tools are served."""

    card_max_age: int = Field(300, ge=0)
    """For how many seconds clients may cache a card (section 8.6.1)."""

    @field_validator("protocol_versions")
    @classmethod
    def _check_drafts(cls, versions: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if "1.1" in versions and "1.1" not in info.data.get("drafts", ()):
            raise ValueError("1.1 is a draft: name it in DRAFTS too")
        return versions

    @cached_property
    def lease_time(self) -> timedelta:
        """LEASE_SECONDS, as the database adds it to its time."""
        return timedelta(seconds=self.lease_seconds)
