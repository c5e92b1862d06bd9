"""The media types that an agent accepts (sections 3.1.1, 4.4.1 and 4.4.5)."""

from itertools import chain

from a2a_app.agents import Agent
from a2a_app.protocol import ContentTypeNotSupportedError, Message, Part

# How much of a media type an error repeats.
MAX_REPEATED_CHARACTERS = 100


def check_modes(agent: Agent, message: Message) -> None:
    """Check that the agent, or one of its skills, accepts every part of a message.

    Raises:
        ContentTypeNotSupportedError: One part is not accepted. The error names the part, its media
            type, and those that are accepted.
    """
    for index, part in enumerate(message.parts):
        media_type = media_type_of(part)
        if media_type and not any(_matches(media_type, mode) for mode in _accepted(agent)):
            accepted = ", ".join(dict.fromkeys(_accepted(agent)))
            media_type = media_type[:MAX_REPEATED_CHARACTERS]
            raise ContentTypeNotSupportedError(
                f"Part {index + 1} of the message is {media_type}; the agent takes {accepted}.",
                part_index=str(index),
                media_type=media_type,
                supported=accepted,
            )


def media_type_of(part: Part) -> str:
    """Return a part's media type, in lower case and without parameters; empty if unknown.

    Text is text/plain and data is application/json, unless the part says otherwise. A file without
    a media type may be anything.
    """
    if part.media_type:
        return part.media_type.partition(";")[0].strip().lower()
    if part.text is not None:
        return "text/plain"
    return "application/json" if part.has_data else ""


def _accepted(agent: Agent) -> chain[str]:
    # A skill's own modes replace the agent's, and it is not known yet which skill will be used.
    skills = (*agent.skills, *agent.extended_skills)
    return chain(agent.input_modes, *(skill.input_modes for skill in skills))


def _matches(media_type: str, mode: str) -> bool:
    mode = mode.partition(";")[0].strip().lower()
    main_type, _, subtype = mode.partition("/")
    return mode in (media_type, "*/*") or (
        subtype == "*" and media_type.startswith(f"{main_type}/")
    )
