"""Extensions: those of the protocol that the server adds to an agent's own (section 4.6)."""

from a2a_app import conf
from a2a_app.protocol import AgentExtension
from a2a_app.store.updates import LIVE_INPUT

STREAM_RESUMPTION = AgentExtension(
    uri="urn:a2a-app:stream-resumption:v1",
    description="A stream that broke off goes on after the event that Last-Event-ID names.",
)
IDEMPOTENT_SENDING = AgentExtension(
    uri="urn:a2a-app:idempotent-sending:v1",
    description="A message sent again under the same Idempotency-Key is not taken twice.",
)
# For agents that recognise a message by its `messageId` too.
_BY_MESSAGE_ID = IDEMPOTENT_SENDING.model_copy(update={"params": {"messageId": True}})
APPEND_ONLY = AgentExtension(
    uri="urn:a2a-app:append-only:v1",
    description="No last chunk repeats an artifact, for clients that join all chunks they get.",
)
OF_STREAMS = (STREAM_RESUMPTION, APPEND_ONLY)
"""The extensions of a server that streams."""
TASK_GENERATIONS = AgentExtension(
    uri="urn:a2a-app:task-generations:v1",
    description="Tasks and events have generations, as A2A 1.1 drafts them, in their metadata.",
)
"""The extension of a server with the drafts of 1.1."""

QUEUE, LIVE, REFUSE = "queue", "live", "refuse"
"""What may become of a message to a task that is worked on: it waits for a turn of its own, reaches
the turn at work, or is refused."""


def _of_busy_tasks(when_busy: str, description: str) -> list[AgentExtension]:
    params = {"whenBusy": when_busy}
    return [AgentExtension(uri=LIVE_INPUT, description=description, params=params)]


OF_BUSY_TASKS: dict[str, list[AgentExtension]] = {
    QUEUE: [],
    LIVE: _of_busy_tasks(LIVE, "A message to a task that is worked on reaches the work."),
    REFUSE: _of_busy_tasks(REFUSE, "A task that is worked on takes no message until it asks."),
}
"""What agents declare, by what they do with such a message."""


def added_extensions(
    *, streaming: bool, repeats_artifacts: bool, idempotent: bool
) -> list[AgentExtension]:
    """Return the extensions that the server adds for an agent.

    Args:
        streaming: As the agent declares it.
        repeats_artifacts: The same.
        idempotent: The same.
    """
    added = [STREAM_RESUMPTION] if streaming else []
    if streaming and repeats_artifacts:
        added.append(APPEND_ONLY)
    added.append(_BY_MESSAGE_ID if idempotent else IDEMPOTENT_SENDING)
    if "1.1" in conf.current().drafts:
        added.append(TASK_GENERATIONS)
    return added
