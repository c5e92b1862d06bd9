"""Task: the unit of work."""

from typing import Any

from django.conf import settings
from django.db import models

from a2a_app.database.values import KeyEnd, VerbatimJSONField, new_key
from a2a_app.models.context import Context
from a2a_app.models.deletion import keep_or_protect
from a2a_app.protocol import TaskState
from a2a_app.protocol.states import INTERRUPTED_STATES

# How rows of one task refer to each other. The database does not check it: each of them has a
# foreign key to the task, and they are written and deleted together. The checks, and the indexes
# that they need, cost something with each message, and much with each deletion.
WITHIN_TASK: dict[str, Any] = {
    "on_delete": models.DO_NOTHING,
    "db_constraint": False,
    "db_index": False,
}


class Task(models.Model):
    """The present state of a task (section 4.1.1), which only `store.writes.append` changes."""

    id = models.UUIDField(primary_key=True, default=new_key, editable=False)
    context = models.ForeignKey(
        Context, on_delete=models.CASCADE, related_name="tasks", db_index=False
    )
    agent = models.CharField(max_length=100)
    owner = models.CharField(max_length=255, blank=True, help_text="The caller that may see it.")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=keep_or_protect,
        null=True,
        blank=True,
        related_name="+",
    )
    state = models.CharField(max_length=32, choices=[(s.value, s.name) for s in TaskState])
    status_at = models.DateTimeField(help_text="When the status was recorded.")
    status_message = models.ForeignKey(
        "a2a_app.Message", **WITHIN_TASK, null=True, blank=True, related_name="+"
    )
    metadata = VerbatimJSONField(default=dict, blank=True)
    seq = models.PositiveBigIntegerField(help_text="The number of its newest event.")
    turn = models.PositiveIntegerField(help_text="How many turns it has had, or has yet to do.")
    answered = models.PositiveIntegerField(default=0, help_text="The newest turn that is over.")
    run = models.ForeignKey(
        "a2a_app.Run",
        **WITHIN_TASK,
        null=True,
        blank=True,
        related_name="+",
        help_text="The one run that may write to it now.",
    )
    asks = models.BooleanField(
        default=False, help_text="Whether a question of it waits for a decision."
    )
    stored = models.PositiveBigIntegerField(
        default=0, help_text="How many bytes its log, its messages and its files have."
    )
    counted = models.PositiveBigIntegerField(
        default=0, help_text="How many of these are counted in what its owner has stored."
    )
    pushed = models.BooleanField(default=False, help_text="Whether webhooks may wait for events.")
    linked = models.BooleanField(
        default=False, help_text="Whether another task has asked for it, or it for others."
    )
    size = models.PositiveBigIntegerField(
        default=0, help_text="How many bytes it has in JSON, at most."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        permissions = [
            ("answer_task", "Can answer a task in place of its client"),
            ("rerun_task", "Can run a task again"),
            ("use_console", "Can use the console"),
        ]
        indexes = [
            # One for each choice of ListTasks. Each has the list's order, so that a page is read
            # from one place of it, however many tasks there are. The times need none of their own.
            models.Index(fields=["agent", "owner", "-status_at", "-id"], name="a2a_task_page"),
            models.Index(
                fields=["agent", "owner", "state", "-status_at", "-id"],
                name="a2a_task_page_of_state",
            ),
            models.Index(fields=["context", "-status_at", "-id"], name="a2a_task_of_context"),
            models.Index(
                fields=["context", "state", "-status_at", "-id"], name="a2a_task_of_context_state"
            ),
            # For the admin.
            models.Index(fields=["state", "id"], name="a2a_task_of_state"),
            models.Index(KeyEnd("id"), name="a2a_task_by_end"),
            # With what waits for somebody and nothing else.
            models.Index(
                fields=["id"],
                condition=models.Q(state__in=sorted(state.value for state in INTERRUPTED_STATES)),
                name="a2a_task_waiting",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)
