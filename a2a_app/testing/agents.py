"""The agents of a test: those of the project, and those that are there for a test only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias, cast

from a2a_app.agents import Agent, registry
from a2a_app.agents.registry import make_agent, subject_of

Subject: TypeAlias = Callable[..., Any] | Agent | str
"""What stands for an agent: its slug, itself, or what it was made of: function, class, instance."""


@contextmanager
def agent_for_test(subject: Callable[..., Any] | Agent, **declared: Any) -> Iterator[Agent]:
    """Register an agent inside the `with`, in place of another one with its slug.

    Args:
        subject: A function, a subclass of Agent or an instance of one, as `@agent` takes it.
        **declared: What `@agent` takes, such as `time_limit`.

    Raises:
        TypeError: An agent has no such attribute.
        ValueError: An attribute has a wrong value.
    """
    made = make_agent(subject, **declared)
    with registry.registered(made):
        yield made


@contextmanager
def served(subject: Subject) -> Iterator[Agent]:
    """Yield the agent that something stands for, which is registered inside the `with` at least.

    Raises:
        AgentNotFoundError: There is no agent with the slug.
        ValueError: The function or class is the code of several agents.
    """
    if isinstance(subject, str):
        yield registry.get(subject)
        return
    found = _registered(subject)
    if found is None:
        # One that was made and never registered has a slug already.
        is_made = isinstance(subject, Agent) and bool(subject.slug)
        found = cast("Agent", subject) if is_made else make_agent(subject)
    with registry.registered(found):
        yield found


def _registered(subject: Any) -> Agent | None:
    """Return the agent that was made of something, with all that it declares."""
    found = [each for each in registry if subject_of(each) is subject]
    if len(found) > 1:
        slugs = ", ".join(each.slug for each in found)
        raise ValueError(f"It is the code of several agents; name one by its slug: {slugs}.")
    return found[0] if found else None
