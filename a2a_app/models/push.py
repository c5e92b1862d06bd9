"""PushNotificationConfig: where a task's events are sent, and how many have been."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from a2a_app.database.values import new_key
from a2a_app.models.task import Task


class PushNotificationConfig(models.Model):
    """A webhook of a task (section 4.3.1), and its place in the task's log.

    The events that are still to be sent are those after `delivered` in the log, so an event needs
    no row here. Only `announced` and `due_at` change, in the transaction that stores the event.
    """

    id = models.UUIDField(primary_key=True, default=new_key, editable=False)
    task = models.ForeignKey(
        Task, on_delete=models.CASCADE, related_name="push_configs", db_index=False
    )
    config_id = models.CharField(
        max_length=255, help_text=_("The id that the client or this server gave it.")
    )
    url = models.TextField()
    host = models.CharField(max_length=255, help_text="The URL's host.")
    queue = models.BigIntegerField(help_text="Where it waits: one number for each owner and host.")
    scheme = models.CharField(
        max_length=255, blank=True, help_text=_("How to authenticate to the webhook.")
    )
    secrets = models.TextField(blank=True, help_text="Token and credentials, encrypted.")
    payload = models.CharField(
        max_length=32, blank=True, help_text=_("The kind of payload. Empty: events.")
    )
    base_url = models.TextField(
        blank=True,
        help_text="For links to files: the scheme and host by which its client reached us.",
    )
    begins_with_task = models.BooleanField(
        default=False, help_text="Whether the task as it is comes before its events."
    )
    delivered = models.PositiveBigIntegerField(help_text="The newest event that was delivered.")
    announced = models.PositiveBigIntegerField(help_text="The newest event to deliver.")
    due_at = models.DateTimeField(
        null=True,
        blank=True,
        db_index=True,
        help_text=_("From then on a process may send what is due. Empty: nothing is."),
    )
    worker = models.CharField(max_length=100, blank=True, help_text="The worker that is sending.")
    failures = models.PositiveIntegerField(
        default=0, help_text=_("How many attempts in a row have failed.")
    )
    failing_since = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True, help_text="Why the last attempt failed.")
    dead_at = models.DateTimeField(
        null=True, blank=True, help_text=_("When it was given up; the admin may send again.")
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            models.Index(fields=["host", "id"], name="a2a_push_config_of_host"),
            # With what waits and nothing else, so that the next queue that has something is found
            # without a look at those that have nothing.
            models.Index(
                fields=["queue", "due_at"],
                condition=models.Q(due_at__isnull=False),
                name="a2a_push_config_waiting",
            ),
            # With what fails and nothing else, to count it.
            models.Index(
                fields=["failing_since"],
                condition=models.Q(failing_since__isnull=False),
                name="a2a_push_config_failing",
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["task", "config_id"], name="a2a_push_config_of_task"),
        ]

    def __str__(self) -> str:
        return self.config_id
