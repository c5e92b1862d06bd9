"""Stored bytes: how much an owner has stored, and which limit it has reached."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from a2a_app.database.values import new_key


class StoredBytes(models.Model):
    """A part of what an owner has stored. The sum of its parts is what counts.

    There are several, so that transactions which add to it seldom wait for one another. The first
    one has the limit that the owner has reached last, too.
    """

    id = models.UUIDField(primary_key=True, default=new_key, editable=False)
    owner = models.CharField(max_length=255, blank=True)
    caller = models.CharField(
        max_length=255, blank=True, help_text="The owner without its tenant, to find a person's."
    )
    part = models.PositiveSmallIntegerField(help_text="The number of the part.")
    stored = models.BigIntegerField(
        default=0, help_text="How many bytes were stored by it, less those that were deleted."
    )
    refused_by = models.CharField(
        max_length=100, blank=True, help_text=_("The setting that has refused it last.")
    )
    refused_at = models.DateTimeField(null=True, blank=True, help_text=_("When that was."))

    class Meta:
        verbose_name = "owner at a limit"
        verbose_name_plural = "owners at their limits"
        indexes = [
            models.Index(fields=["caller"], name="a2a_stored_of_caller"),
            models.Index(
                fields=["refused_at"],
                condition=models.Q(refused_at__isnull=False),
                name="a2a_stored_refused",
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["owner", "part"], name="a2a_stored_of_owner"),
        ]

    def __str__(self) -> str:
        return self.owner or "nobody"
