"""Modes: the media types that an agent takes (sections 3.1.1, 4.4.1 and 4.4.5)."""

from itertools import chain

from a2a_app.agents import Agent
from a2a_app.protocol import ContentTypeNotSupportedError, Message, Part

# Characters of a media type that an error repeats.
SHOWN = 100


def check_modes(agent: Agent, message: Message) -> None:
    """Refuse a message with a part that neither the agent nor any of its skills takes.

    Raises ContentTypeNotSupportedError, which names the part, its media type, and those taken.
    """
    for index, part in enumerate(message.parts):
        given = media_type_of(part)
        if given and not any(_fits(given, mode) for mode in _taken(agent)):
            taken = ", ".join(dict.fromkeys(_taken(agent)))
            given = given[:SHOWN]
            raise ContentTypeNotSupportedError(
                f"Part {index + 1} of the message is {given}; the agent takes {taken}.",
                part_index=str(index),
                media_type=given,
                supported=taken,
            )


def media_type_of(part: Part) -> str:
    """Give a part's media type, in lower case and without parameters; empty: nobody says.

    Text is text/plain and data application/json unless the part says otherwise. A file that says
    nothing may be anything.
    """
    if part.media_type:
        return part.media_type.partition(";")[0].strip().lower()
    if part.text is not None:
        return "text/plain"
    return "application/json" if part.has_data else ""


def _taken(agent: Agent) -> chain[str]:
    # A skill's own modes stand in for the agent's, and nobody knows which skill it will be.
    skills = (*agent.skills, *agent.extended_skills)
    return chain(agent.input_modes, *(skill.input_modes for skill in skills))


def _fits(given: str, mode: str) -> bool:
    mode = mode.partition(";")[0].strip().lower()
    kind, _, subtype = mode.partition("/")
    return mode in (given, "*/*") or (subtype == "*" and given.startswith(f"{kind}/"))
