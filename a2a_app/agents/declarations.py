"""Declarations: what an agent may say of itself, and what is refused."""

import inspect
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from a2a_app.agents.extensions import OF_BUSY_TASKS

if TYPE_CHECKING:
    from a2a_app.agents.base import Agent

# The most attempts that an agent may declare: a turn may be what ends each process that begins it.
MAX_ATTEMPTS = 10
MAX_SLUG = 100
MAX_REVISION = 100


def slug_of(name: str) -> str:
    """Make a slug from a name: `travel-agent` from `TravelAgent` and from `travel_agent`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name)
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def check(agent: "Agent") -> None:
    """Check what an agent declares.

    Raises:
        ValueError: The slug is not fit for a URL, a mode is no media type, a number is too small,
            a revision is no short text, or a word is none of those that are known.
    """
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", agent.slug) or len(agent.slug) > MAX_SLUG:
        raise ValueError(
            f"slug {agent.slug!r} of agent {agent.name!r}: use lower-case letters, digits and "
            f"single hyphens, {MAX_SLUG} at the most."
        )
    if agent.hidden and agent.permission is None:
        raise ValueError(f"hidden of agent {agent.name!r} needs a permission: hidden from whom?")
    if agent.when_busy not in OF_BUSY_TASKS:
        known = ", ".join(OF_BUSY_TASKS)
        raise ValueError(f"when_busy of agent {agent.name!r} is none of {known}.")
    _check_modes(agent)
    _check_numbers(agent)
    _check_revisions(agent)


def check_takes_turn(function: Callable[..., Any]) -> None:
    """Check that what runs an agent's turns can be called with a turn, and nothing else.

    Raises:
        TypeError: It cannot. The text names it.
    """
    try:
        parameters = inspect.signature(function).replace(return_annotation=inspect.Signature.empty)
    except ValueError:  # some that are written in C do not tell
        return
    try:
        parameters.bind(None)
    except TypeError:
        name = getattr(function, "__qualname__", repr(function))
        raise TypeError(
            f"{function.__module__}.{name}{parameters} cannot run an agent's turns: it is called "
            "with the turn, and nothing else."
        ) from None


def _check_numbers(agent: "Agent") -> None:
    if not 1 <= agent.attempts <= MAX_ATTEMPTS:
        raise ValueError(
            f"attempts of agent {agent.name!r} is {agent.attempts}; use 1 to {MAX_ATTEMPTS}."
        )
    for limit in (
        "running_turns_per_owner", "waiting_turns_per_owner", "waiting_turns_per_task",
    ):  # fmt: skip  # as one list
        number = getattr(agent, limit)
        if number is not None and number < 0:
            raise ValueError(f"{limit} of agent {agent.name!r} must not be below 0.")
    for limit in ("time_limit", "silence_limit"):
        seconds = getattr(agent, limit)
        if seconds is not None and seconds <= 0:
            raise ValueError(f"{limit} of agent {agent.name!r} must be above 0 seconds.")


def _check_modes(agent: "Agent") -> None:
    for attribute in ("input_modes", "output_modes"):
        modes = getattr(agent, attribute)
        if not modes:
            raise ValueError(f"{attribute} of agent {agent.name!r} is empty: a card has one.")
        for mode in modes:
            if not re.fullmatch(r"[^/\s]+/[^/]+", mode):
                raise ValueError(
                    f"{mode!r} in {attribute} of agent {agent.name!r} is no media type: "
                    "text/plain is one, and image/* stands for all of a kind."
                )


def _check_revisions(agent: "Agent") -> None:
    accepted = agent.accepts_revisions
    # A text alone would be the revisions that its characters are.
    named = () if callable(accepted) else (accepted,) if isinstance(accepted, str) else accepted
    if isinstance(accepted, str) or any(not _is_revision(each) for each in named):
        raise ValueError(
            f"accepts_revisions of agent {agent.name!r} is {accepted!r}; use a tuple of texts, or "
            "a function that takes one."
        )
    if agent.revision and not _is_revision(agent.revision):
        raise ValueError(
            f"revision of agent {agent.name!r} is {agent.revision!r}; use a text of at most "
            f"{MAX_REVISION} printable characters."
        )


def _is_revision(given: object) -> bool:
    return isinstance(given, str) and given.isprintable() and 0 < len(given) <= MAX_REVISION
