"""The tables, in the words of the specification, and who owns a row."""

from a2a_app.models.api_key import ApiKey
from a2a_app.models.approval import Approval
from a2a_app.models.archive import Archive
from a2a_app.models.archived_log import ArchivedLog
from a2a_app.models.artifact import Artifact
from a2a_app.models.context import Context
from a2a_app.models.directory_entry import DirectoryEntry
from a2a_app.models.event import Event
from a2a_app.models.external_event import ExternalEvent
from a2a_app.models.failure import Failure
from a2a_app.models.file import File
from a2a_app.models.idempotency_key import IdempotencyKey
from a2a_app.models.message import Message
from a2a_app.models.push import PushNotificationConfig
from a2a_app.models.remote_task import RemoteTask
from a2a_app.models.run import Run
from a2a_app.models.spending import Spending
from a2a_app.models.step import Step
from a2a_app.models.stored_bytes import StoredBytes
from a2a_app.models.task import Task
from a2a_app.models.token_usage import TokenUsage
from a2a_app.models.upkeep import Upkeep
from a2a_app.models.waiting_task import WaitingTask as WaitingTask
from a2a_app.models.worker import Worker

__all__ = [
    "ApiKey",
    "Approval",
    "Archive",
    "ArchivedLog",
    "Artifact",
    "Context",
    "DirectoryEntry",
    "Event",
    "ExternalEvent",
    "Failure",
    "File",
    "IdempotencyKey",
    "Message",
    "PushNotificationConfig",
    "RemoteTask",
    "Run",
    "Spending",
    "Step",
    "StoredBytes",
    "Task",
    "TokenUsage",
    "Upkeep",
    "Worker",
]
