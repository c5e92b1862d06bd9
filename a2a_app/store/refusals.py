"""Refusals: why the store refuses a write."""

from a2a_app.protocol import TaskState, UnsupportedOperationError


class Refused(Exception):
    """The store does not accept the write. Nothing of it was stored."""


class TaskEndedError(Refused):
    """The task is in a terminal state, which is its last (R3)."""

    def __init__(self, state: TaskState) -> None:
        super().__init__(f"The task has ended: {state.name.lower()}.")
        self.state = state


class RunLostError(Refused):
    """The run no longer holds its task, which has ended or was taken over by another (R7)."""

    def __init__(self, text: str = "The run no longer holds its task.") -> None:
        super().__init__(text)


class BusyError(UnsupportedOperationError):
    """The task is worked on, and its agent takes no message meanwhile."""

    def __init__(self, task_id: str) -> None:
        super().__init__(
            "The task is worked on. Its agent takes no message until it asks for one.",
            task_id=task_id,
        )


class DecidedError(UnsupportedOperationError):
    """The question is no longer open."""


class TaskGoneError(RunLostError):
    """The task was deleted. A run that was about to write to it has lost it."""

    def __init__(self) -> None:
        super().__init__("There is no such task any more.")


class AlreadySentError(Refused):
    """A message was stored under this key before, or at the same moment (section 3.3.1)."""

    def __init__(self, key: str) -> None:
        super().__init__(f"A message was sent before under {key!r}.")


class OtherContentError(Refused):
    """Another message was sent before under this key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"Another message was sent before under {key!r}.")


class UnknownArtifactError(Refused):
    """A chunk was to be appended to an artifact that the task does not have, or that is closed."""

    def __init__(self, artifact_id: str) -> None:
        super().__init__(f"Cannot append to artifact {artifact_id!r}: there is no such open one.")
        self.artifact_id = artifact_id


class UnknownFileError(Refused):
    """A part names a file that does not exist, or is another owner's."""

    def __init__(self, item: object, part_index: int) -> None:
        super().__init__(
            f"Part {part_index + 1} names a file that does not exist, or is another's."
        )
        self.item = item
        """The message or the update that has the part."""
        self.part_index = part_index


class RepetitionError(Refused):
    """An attempt at a durable turn does something else than an earlier one did at this place."""

    def __init__(self, place: str, expected: str, met: str) -> None:
        super().__init__(
            f"The agent's code differs from that of an earlier attempt. At {place} it then came to "
            f"{expected}, and now to {met}. What differs each time belongs in a step."
        )


class ContextChangedError(Refused):
    """Another turn wrote the context's state since this one read it."""

    def __init__(self, context_id: str) -> None:
        super().__init__(f"The state of context {context_id!r} was changed by another turn.")
