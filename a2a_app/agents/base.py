"""Agent: the class by which a project declares and writes an agent."""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

from a2a_app import conf
from a2a_app.agents.caller import TurnCaller
from a2a_app.agents.content import Content
from a2a_app.agents.declarations import MAX_ATTEMPTS, check, slug_of
from a2a_app.agents.extensions import OF_BUSY_TASKS, QUEUE, REFUSE, added_extensions
from a2a_app.agents.turn import Turn
from a2a_app.concurrency.hooks import call_hook
from a2a_app.protocol import (
    AgentCard,
    AgentExtension,
    AgentProvider,
    AgentSkill,
    Message,
    SecurityRequirement,
    SecurityScheme,
    Task,
)
from a2a_app.store.updates import TurnLimits

Rule: TypeAlias = str | Callable[[Any, str], Any]
Permission: TypeAlias = Rule | Mapping[str, Rule | None]
REST = "*"
"""What stands for all other operations in a mapping of permissions."""


class Agent:
    """One agent: the content of its card, the ways in which it is served, and `run`, its work.

    Subclass it and decorate the class with `@agent`. One instance serves all turns, so store
    nothing about a turn on `self`.
    """

    name: str = ""
    """Its name for people. Empty: the class's name."""
    slug: str = ""
    """Its name in URLs: lower-case letters, digits, hyphens. Empty: made of the class's name."""
    description: str = ""
    """Its work in words, for people and other agents. Empty: the first line of its docstring."""
    version: str = "1.0.0"
    """The agent's own version."""
    skills: Sequence[AgentSkill] = ()
    """Its skills (section 4.4.5). Empty: one skill that is the agent itself."""
    extended_skills: Sequence[AgentSkill] = ()
    """More skills for its extended card, which only known callers get (section 3.1.11)."""
    input_modes: Sequence[str] = ("text/plain",)
    """Media types that it accepts. `image/*` is every image, `*/*` everything. Others are
    refused."""
    output_modes: Sequence[str] = ("text/plain",)
    """Media types that it produces, for the card."""
    provider: AgentProvider | None = None
    """The organisation that offers it (section 4.4.2)."""
    documentation_url: str | None = None
    """The URL of its documentation."""
    icon_url: str | None = None
    """The URL of its icon."""
    extensions: Sequence[AgentExtension] = ()
    """Extensions of the protocol that it supports (section 4.6)."""
    security_schemes: Mapping[str, SecurityScheme] = MappingProxyType({})
    """Ways to authenticate besides those of AUTHENTICATION, such as a gateway's (section 4.5)."""
    security_requirements: Sequence[SecurityRequirement] | None = None
    """What callers need: any one of these. None: what AUTHENTICATION and ANONYMOUS say."""
    permission: Permission | None = None
    """Who may use it: a permission of Django's, such as `app.use_agent`, or a callable, with or
    without `async`, that takes the caller and the operation's name. None: all callers. Or a mapping
    from operations, scopes such as `send`, and `*` for the rest, to one of these."""
    hidden: bool = False
    """Whether it does not exist for those whom `permission` refuses `GetAgentCard`: neither in the
    catalogue nor at its URLs."""
    streaming: bool = True
    """Whether clients may follow a task by a stream."""
    push_notifications: bool = True
    """Whether clients may have a task's events sent to a webhook."""
    cancelable: bool = True
    """Whether a client may cancel its tasks."""
    shows_usage: bool = True
    """Whether a task's metadata says what `turn.usage` has recorded; else only the admin does."""
    idempotent: bool = False
    """Whether a message with a `messageId` that was sent before joins the first one."""
    continues_waiting_task: bool = False
    """Whether a message that names its context but no task goes to the task there that has asked
    for input, if there is exactly one (section 3.4.3)."""
    when_busy: str = QUEUE
    """What becomes of a message to a task that is worked on, and has asked nothing. `queue`: it
    waits for a turn of its own. `live`: it reaches the turn at work, by `turn.inbox`. `refuse`: its
    client gets an error."""
    repeats_artifacts: bool = True
    """Whether an artifact that comes in chunks, and that the agent's code has not closed, ends with
    a last chunk that repeats and replaces it whole (section 4.2.2)."""
    attempts: int = 1
    """How often a turn is begun in all if the process that works on it dies: 1 to MAX_ATTEMPTS."""
    durable: bool = False
    """Whether what an earlier attempt has said is not said again; `attempts` is MAX_ATTEMPTS then,
    unless it is above 1."""

    asks_as: Callable[[TurnCaller, str], Any] | None = None
    """Returns who asks by `turn.ask`, by the caller and an agent's name. None: the caller."""

    revision: str = ""
    """A name of its code, for turns that outlast it. Change it when the order of steps and verbs
    changes: a turn that began under another revision is left to processes that have that one."""
    accepts_revisions: Sequence[str] | Callable[[str], Any] = ()
    """Other revisions whose turns this code can go on with; or a function that takes one and tells
    whether it can."""

    running_turns_per_owner: int | None = None
    """How many of its turns one owner may have worked on at once. None: RUNNING_TURNS_PER_OWNER, in
    which all agents without numbers of their own count together. 0: any number."""
    waiting_turns_per_owner: int | None = None
    """How many of its turns one owner may have waiting. None: WAITING_TURNS_PER_OWNER, as above. 0:
    any number."""
    waiting_turns_per_task: int | None = None
    """How many messages may wait in one of its tasks. None: WAITING_TURNS_PER_TASK. 0: any
    number."""

    time_limit: float | None = None
    """Seconds that one turn may take. After that its task fails. None: no limit."""
    silence_limit: float | None = None
    """Seconds that a turn may go without a verb. After that its task fails. None: no limit."""

    def run(self, turn: Turn) -> Any:
        """Answer one message of a task. Override it, in one of four forms.

        It may be an `async def` that uses the turn's verbs. It may be an asynchronous generator,
        whose yielded values are the chunks of one artifact. Or it may be either of them without
        `async`; then it runs in a thread of its own.

        When it returns, the task is completed, unless it has ended otherwise or waits for the
        client. When it raises, the task fails.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say what it does: define run().")

    async def answer(self, message: Message) -> Content | None:
        """Answer a message at once and without a task (section 3.1.1). Override it.

        It runs in the serving process, while the client waits, and only for messages that name no
        task and continue none.

        Returns:
            The answer, which may be all that a verb takes; None: the message begins a task.
        """
        return None

    async def cancel(self, task: Task, caller: TurnCaller) -> None:
        """Clean up after a task that was canceled while no turn of it was at work. Override it.

        Such a task waited for its client, or for a free place, or its turn had just returned. It
        has ended already. This runs in the process to which the request came, or in that of the
        turn that had returned, and is waited for a second. A turn that is at work is cancelled
        instead.

        Args:
            task: The task, with its history and artifacts.
            caller: Who has canceled it. Where a turn had just returned, who sent its message.
        """

    def card(self, card: AgentCard, caller: Any) -> AgentCard | Awaitable[AgentCard]:
        """Return the card for a caller. Override it, with or without `async`.

        Args:
            card: A copy of the card that the declaration makes, which may be changed.
            caller: The value that the authenticator returned, as a rule a Django user. None: the
                caller is not known.
        """
        return card

    def extended_card(
        self, card: AgentCard, caller: Any
    ) -> AgentCard | Awaitable[AgentCard | None] | None:
        """Return the extended card for a known caller (section 3.1.11).

        Override it, with or without `async`.

        Args:
            card: A copy of the caller's card, with the extended skills.
            caller: The value that the authenticator returned, as a rule a Django user.

        Returns:
            The card; None: there is none for this caller, or none at present.
        """
        return card

    @property
    def accepted_modes(self) -> list[str]:
        """The media types that the agent or one of its skills accepts."""
        # A skill's own modes replace the agent's, and it is not known yet which skill will be used.
        skills = (*self.skills, *self.extended_skills)
        return [*self.input_modes, *(mode for skill in skills for mode in skill.input_modes)]

    def accepts(self, media_type: str) -> bool:
        """Tell whether a media type, in lower case and without parameters, is accepted."""
        return any(_matches(media_type, mode) for mode in self.accepted_modes)

    @property
    def declared_extensions(self) -> list[AgentExtension]:
        """The extensions on its card: its own, and those that the server adds (section 4.6)."""
        added = added_extensions(
            streaming=self.streaming,
            repeats_artifacts=self.repeats_artifacts,
            idempotent=self.idempotent,
        )
        return [*self.extensions, *added, *OF_BUSY_TASKS[self.when_busy]]

    @property
    def turn_limits(self) -> TurnLimits:
        """How many turns there may be: by its own numbers, or by the settings."""
        current = conf.current()
        running, waiting, in_task = (
            self.running_turns_per_owner,
            self.waiting_turns_per_owner,
            self.waiting_turns_per_task,
        )
        has_own = running is not None or waiting is not None
        return TurnLimits(
            current.running_turns_per_owner if running is None else running,
            current.waiting_turns_per_owner if waiting is None else waiting,
            current.waiting_turns_per_task if in_task is None else in_task,
            queue=self.slug if has_own else "",
            refuses_when_busy=self.when_busy == REFUSE,
        )

    def has_code_of(self, revision: str) -> bool:
        """Tell whether turns that began under a revision may go on here. Empty: under none."""
        accepts = self.accepts_revisions
        if revision in ("", self.revision):
            return True
        return bool(accepts(revision)) if callable(accepts) else revision in accepts

    async def permits(self, caller: Any, operation: str, scope: str) -> bool:
        """Tell whether `permission` lets a caller do something.

        Args:
            caller: The value that the authenticator returned. None: the caller is not known.
            operation: The name of an operation, or `GetAgentCard`.
            scope: The scope of the operation.
        """
        rule = self.permission
        if isinstance(rule, Mapping):
            named = [key for key in (operation, scope, REST) if key in rule]
            if not named:
                return False
            rule = rule[named[0]]
        if rule is None:
            return True
        if not isinstance(rule, str):
            return bool(await call_hook(rule, caller, operation))
        has_permission = getattr(caller, "has_perm", None)
        return has_permission is not None and await call_hook(has_permission, rule)

    @property
    def has_card_for_caller(self) -> bool:
        """Whether the card may depend on the caller."""
        return type(self).card is not Agent.card

    @property
    def has_extended_card(self) -> bool:
        """Whether known callers may get an extended card."""
        return bool(self.extended_skills) or type(self).extended_card is not Agent.extended_card

    @property
    def cleans_up(self) -> bool:
        """Whether it wants to hear of canceled tasks on which no turn was at work."""
        return type(self).cancel is not Agent.cancel

    @property
    def is_synchronous(self) -> bool:
        """Whether `run` needs a thread of its own."""
        return is_synchronous(self.run)

    def complete_declaration(self, default_name: str, docstring: str | None) -> None:
        """Fill in attributes that the declaration left empty, and refuse those that are wrong.

        Args:
            default_name: The name of the class or function.
            docstring: The docstring of the class or function, if any.

        Raises:
            ValueError: Something is refused: see `declarations.check`.
        """
        self.name = self.name or default_name
        self.slug = self.slug or slug_of(default_name)
        self.description = self.description or (docstring or self.name).strip().splitlines()[0]
        if not self.skills:
            self.skills = [
                AgentSkill(
                    id=self.slug, name=self.name, description=self.description, tags=["agent"]
                )
            ]
        if self.durable and self.attempts == 1:
            self.attempts = MAX_ATTEMPTS
        check(self)


def is_synchronous(function: Callable[..., Any]) -> bool:
    """Tell whether a function is neither a coroutine function nor an asynchronous generator."""
    return not (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function))


def _matches(media_type: str, mode: str) -> bool:
    mode = mode.partition(";")[0].strip().lower()
    main_type, _, subtype = mode.partition("/")
    return mode in (media_type, "*/*") or (
        subtype == "*" and media_type.startswith(f"{main_type}/")
    )
