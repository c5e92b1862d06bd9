"""The enums of the protocol, in the order of their numbers."""

from enum import StrEnum


class TaskState(StrEnum):
    """The state of a task (section 4.1.3)."""

    UNSPECIFIED = "TASK_STATE_UNSPECIFIED"
    SUBMITTED = "TASK_STATE_SUBMITTED"
    WORKING = "TASK_STATE_WORKING"
    COMPLETED = "TASK_STATE_COMPLETED"
    FAILED = "TASK_STATE_FAILED"
    CANCELED = "TASK_STATE_CANCELED"
    INPUT_REQUIRED = "TASK_STATE_INPUT_REQUIRED"
    REJECTED = "TASK_STATE_REJECTED"
    AUTH_REQUIRED = "TASK_STATE_AUTH_REQUIRED"

    @property
    def is_terminal(self) -> bool:
        """Whether the task has ended, so that no event can follow."""
        return self in TERMINAL_STATES

    @property
    def is_failure(self) -> bool:
        """Whether the task has ended, and without what was asked of it."""
        return self in TERMINAL_STATES and self is not TaskState.COMPLETED

    @property
    def is_interrupted(self) -> bool:
        """Whether the task waits for its client."""
        return self in INTERRUPTED_STATES

    @property
    def after_reply(self) -> "TaskState":
        """The state once the agent has what it may have asked for: no question is open then."""
        return TaskState.SUBMITTED if self.is_interrupted else self


TERMINAL_STATES = frozenset(
    {TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELED, TaskState.REJECTED}
)
INTERRUPTED_STATES = frozenset({TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED})


class Role(StrEnum):
    """The sender of a message (section 4.1.5)."""

    UNSPECIFIED = "ROLE_UNSPECIFIED"
    USER = "ROLE_USER"
    AGENT = "ROLE_AGENT"
