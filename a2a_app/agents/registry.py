"""The registry: every agent of the project, found in its apps' `agents.py`."""

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import time
from typing import Any, TypeVar, overload

from a2a_app import conf
from a2a_app.agents.base import Agent, is_synchronous
from a2a_app.agents.turn import Turn

T = TypeVar("T", bound=Callable[..., Any])


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
            _subject(taken) is _subject(new)
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
        slug = conf.current().default_agent
        if slug:
            return self.get(slug)
        if len(self._agents) == 1:
            return next(iter(self._agents.values()))
        raise AgentNotFoundError(NO_DEFAULT)

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


@overload
def agent(subject: T, /) -> T: ...
@overload
def agent(**declared: Any) -> Callable[[T], T]: ...
def agent(subject: Any = None, /, **declared: Any) -> Any:
    """Make an agent from a function or a subclass of Agent, and register it.

    Args:
        subject: The function or class, where nothing is declared: `@agent` without parentheses.
        **declared: Any attribute of Agent: `name`, `description`, `skills`, `attempts`, …

    Returns:
        The function or class; where it was not given, a decorator that returns it.

    Raises:
        TypeError: Agent has no such attribute, or the subject is neither function nor class.
        ValueError: An attribute has a wrong value, or the slug is taken.
    """

    def register(subject: T) -> T:
        registry.register(make_agent(subject, **declared))
        return subject

    return register if subject is None else register(subject)


def make_agent(subject: Callable[..., Any], **declared: Any) -> Agent:
    """Make an agent from a function or a subclass of Agent, without registering it."""
    if not callable(subject) or (isinstance(subject, type) and not issubclass(subject, Agent)):
        raise TypeError(
            f"An agent is a function or a subclass of Agent, not {subject!r}. What it declares is "
            'written with a name, such as @agent(name="Echo").'
        )
    made: Agent = subject() if isinstance(subject, type) else FunctionAgent(subject)
    for key, value in declared.items():
        if key not in Agent.__annotations__:
            raise TypeError(f"An agent has no {key!r}; it has {', '.join(Agent.__annotations__)}.")
        setattr(made, key, value)
    made.complete_declaration(subject.__name__, subject.__doc__)
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


def _subject(of: Agent) -> Any:
    return of.function if isinstance(of, FunctionAgent) else type(of)


def _origin(of: Agent) -> str:
    subject = _subject(of)
    return f"{subject.__module__}.{subject.__qualname__}"


def _reading(of: Agent) -> object:
    """Return what is another object each time that the module of an agent is read.

    Where the module has none, as in a shell, it is always another one.
    """
    return getattr(sys.modules.get(_subject(of).__module__), "__spec__", None) or object()


def _place(of: Agent) -> str:
    """Return where an agent is defined, for its author to find it."""
    subject = _subject(of)
    code = getattr(inspect.unwrap(getattr(subject, "run", subject)), "__code__", None)
    if code is None:
        return _origin(of)
    line = getattr(subject, "__firstlineno__", code.co_firstlineno)
    return f"{_origin(of)} ({code.co_filename}, line {line})"
