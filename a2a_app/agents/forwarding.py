"""Forwarding: a turn says what another agent has said, event by event."""

from a2a_app.agents.turn import Turn
from a2a_app.protocol import (
    Message,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatusUpdateEvent,
)
from a2a_app.store.updates import ArtifactUpdate, StatusUpdate, Update


async def forward(turn: Turn, event: TaskStatusUpdateEvent | TaskArtifactUpdateEvent) -> None:
    """Append an event that was made elsewhere to the turn's task, whichever task it names.

    Chunks, their `append` and `lastChunk`, messages and metadata stay as they are. A status gets
    the time of the server.

    Args:
        turn: The turn.
        event: A new status, or an artifact or a chunk of one (section 4.2).

    Raises:
        UnknownArtifactError: A chunk belongs to an artifact that the task does not have open.
        TaskEndedError: The task has ended.
    """
    if isinstance(event, TaskArtifactUpdateEvent):
        chunk = ArtifactUpdate(
            event.artifact, event.append, last_chunk=event.last_chunk, metadata=event.metadata
        )
        await turn.put(chunk)
        return
    state = event.status.state
    metadata = {**event.metadata, **turn.usage_metadata}
    status = StatusUpdate(state, _placed(turn, event.status.message), metadata)
    await turn.put(*_unsaved(turn, state), status)


def _placed(turn: Turn, message: Message | None) -> Message | None:
    place = {"context_id": turn.context.id, "task_id": turn.task_id}
    return None if message is None else message.model_copy(update=place)


def _unsaved(turn: Turn, state: TaskState) -> list[Update]:
    """Return what the agent remembers, if the client may go on after this status."""
    if state.is_terminal or state.is_interrupted:
        return turn.context.unsaved(turn.report)
    return []
