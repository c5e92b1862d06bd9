"""The registry: every agent of the project, found in its apps' `agents.py`."""

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from time import time
from typing import Any, NamedTuple, TypeVar, overload

from a2a_app import conf
from a2a_app.agents.base import Agent, is_synchronous
from a2a_app.agents.declarations import check_takes_turn
from a2a_app.agents.turn import Turn

T = TypeVar("T", bound=Callable[..., Any] | Agent)


NO_DEFAULT = "A2A['DEFAULT_AGENT'] does not say which agent is the site's."


class AgentNotFoundError(LookupError):
    """No agent has this slug."""


class Registry:
    """Agents by slug."""

    def __init__(self) -> None:
        self._agents: dict[str, Agent] = {}
        self._readings: dict[str, object] = {}
        self.changed_at = time()
        """When agents were last added or removed, in seconds since the epoch."""

    def register(self, new: Agent) -> None:
        """Add an agent; raises ValueError that names both places if its slug is taken.

        An agent may be added again, as when its module is read again.
        """
        taken, reading = self._agents.get(new.slug), _reading(new)
        if taken is not None and not (
            subject_of(taken) is subject_of(new)
            or (_origin(taken) == _origin(new) and self._readings.get(new.slug) is not reading)
        ):
            raise ValueError(
                f"Two agents have the slug {new.slug!r}: {_place(taken)} and {_place(new)}."
            )
        self._agents[new.slug], self._readings[new.slug] = new, reading
        self.changed_at = time()

    def get(self, slug: str) -> Agent:
        """Return the agent with a slug; raises AgentNotFoundError if there is none."""
        try:
            return self._agents[slug]
        except KeyError:
            raise AgentNotFoundError(slug) from None

    @property
    def hidden(self) -> list[Agent]:
        """The agents that do not exist for everybody."""
        return [each for each in self if each.hidden]

    def slugs(self) -> list[str]:
        """Return the slugs of all agents."""
        return list(self._agents)

    def default(self) -> Agent:
        """Return the site's agent: DEFAULT_AGENT, or the only one; raises AgentNotFoundError."""
        slug = self.default_slug
        if slug:
            return self.get(slug)
        raise AgentNotFoundError(NO_DEFAULT)

    @property
    def default_slug(self) -> str:
        """The slug of the site's agent; empty if nothing says which it is."""
        [only] = self._agents if len(self._agents) == 1 else [""]
        return conf.current().default_agent or only

    def __iter__(self) -> Iterator[Agent]:
        return iter(self._agents.values())

    @contextmanager
    def registered(self, *new: Agent) -> Iterator[None]:
        """Register agents for a while, in a test, instead of others with the same slug."""
        before, readings = self._agents, self._readings
        self._readings = {**readings}
        self._agents = {**before, **{each.slug: each for each in new}}
        self.changed_at = time()
        try:
            yield
        finally:
            self._agents, self._readings = before, readings
            self.changed_at = time()


registry = Registry()


class _Line(NamedTuple):
    """The line on which an instance is declared: its class is defined elsewhere."""

    module: str
    path: str
    number: int


# The names of what an agent knows of its own declaration, if it was declared as an instance.
_DECLARED_AT, _INSTANCE = "_declared_at", "_declared_instance"


@overload
def agent(subject: T, /, **declared: Any) -> T: ...
@overload
def agent(**declared: Any) -> Callable[[T], T]: ...
def agent(subject: Any = None, /, **declared: Any) -> Any:
    """Make an agent from a function, a subclass of Agent or an instance of one, and register it.

    Args:
        subject: The function or class, where nothing is declared: `@agent` without parentheses.
            Or an instance, such as those of `a2a_app.contrib`: `agent(LangGraphAgent(graph))`.
        **declared: Any attribute of Agent: `name`, `description`, `skills`, `attempts`, …

    Returns:
        The subject; where it was not given, a decorator that returns it.

    Raises:
        TypeError: Agent has no such attribute, the subject is nothing of these, or it cannot be
            called with a turn.
        ValueError: An attribute has a wrong value, or the slug is taken.
    """
    frame = sys._getframe(1)
    line = _Line(frame.f_globals.get("__name__", ""), frame.f_code.co_filename, frame.f_lineno)

    def register(subject: T) -> T:
        made = make_agent(subject, **declared)
        if isinstance(subject, Agent):
            vars(made)[_DECLARED_AT] = line
        registry.register(made)
        return subject

    return register if subject is None else register(subject)


def make_agent(subject: Callable[..., Any] | Agent, **declared: Any) -> Agent:
    """Make an agent from any subject that `agent` takes, without registering it."""
    made: Agent
    if isinstance(subject, Agent):
        made = copy(subject)  # since it may be declared twice, as a function may
        vars(made)[_INSTANCE] = subject
        default_name = subject.name or declared.get("name") or type(subject).__name__
        docstring = None  # of its class, which other instances have too
    elif callable(subject) and (not isinstance(subject, type) or issubclass(subject, Agent)):
        made = subject() if isinstance(subject, type) else FunctionAgent(subject)
        default_name, docstring = subject.__name__, subject.__doc__
    else:
        raise TypeError(
            "An agent is a function, a subclass of Agent or an instance of one, "
            f"not {subject!r}. What it declares is "
            'written with a name, such as @agent(name="Echo").'
        )
    for key, value in declared.items():
        if key not in Agent.__annotations__:
            raise TypeError(f"An agent has no {key!r}; it has {', '.join(Agent.__annotations__)}.")
        setattr(made, key, value)
    check_takes_turn(made.function if isinstance(made, FunctionAgent) else made.run)
    made.complete_declaration(default_name, docstring)
    return made


class FunctionAgent(Agent):
    """An agent whose `run` is a function."""

    def __init__(self, function: Callable[[Turn], Any]) -> None:
        self.function = function

    def run(self, turn: Turn) -> Any:
        """Call the function."""
        return self.function(turn)

    @property
    def is_synchronous(self) -> bool:
        """Whether the function needs a thread of its own."""
        return is_synchronous(self.function)


def subject_of(of: Agent) -> Any:
    """Return what an agent was made of: a function, a class or an instance."""
    if isinstance(of, FunctionAgent):
        return of.function
    return vars(of).get(_INSTANCE, type(of))


def _declared_at(of: Agent) -> _Line | None:
    found: _Line | None = vars(of).get(_DECLARED_AT)
    return found


def _origin(of: Agent) -> str:
    subject = subject_of(of)
    if isinstance(subject, Agent):
        line = _declared_at(of)
        return f"{line.module if line else ''}.{type(subject).__name__}()"
    return f"{subject.__module__}.{subject.__qualname__}"


def _reading(of: Agent) -> object:
    """Return what is another object each time that the module of an agent is read.

    Where the module has none, as in a shell, it is always another one.
    """
    line = _declared_at(of)
    module = line.module if line else subject_of(of).__module__
    return getattr(sys.modules.get(module), "__spec__", None) or object()


def _place(of: Agent) -> str:
    """Return where an agent is defined, for its author to find it."""
    at = _declared_at(of)
    if at is not None:
        return f"{_origin(of)} ({at.path}, line {at.number})"
    subject = subject_of(of)
    code = getattr(inspect.unwrap(getattr(subject, "run", subject)), "__code__", None)
    if code is None:
        return _origin(of)
    line = getattr(subject, "__firstlineno__", code.co_firstlineno)
    return f"{_origin(of)} ({code.co_filename}, line {line})"
