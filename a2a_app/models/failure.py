"""Failure: a request that failed and belongs to no task."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from a2a_app.database.values import new_key


class Failure(models.Model):
    """What went wrong where a client was given a reference and no task has failed.

    It has no owner: what is known of whose request it was is in the log.
    """

    id = models.UUIDField(
        primary_key=True,
        default=new_key,
        editable=False,
        help_text=_("The reference that the client was given."),
    )
    agent = models.CharField(max_length=100, blank=True, help_text=_("Its slug. Empty: not known."))
    operation = models.CharField(
        max_length=100, blank=True, help_text=_("What the client asked for. Empty: not known yet.")
    )
    error = models.TextField(help_text="The traceback; of a long one, its beginning and its end.")
    created_at = models.DateTimeField(help_text=_("When it failed."))

    class Meta:
        verbose_name = "failure without a task"
        verbose_name_plural = "failures without a task"

    def __str__(self) -> str:
        return str(self.id)
