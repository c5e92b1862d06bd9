"""Upkeep: work on all rows of a table, bit by bit."""

from django.db import models


class Upkeep(models.Model):
    """How far a work has come that looks through a table again and again.

    Any process may do the next bit once it is due. It puts that off before it begins, so that no
    other process does the same meanwhile.
    """

    name = models.CharField(max_length=100, primary_key=True, help_text="What is done.")
    after = models.UUIDField(
        null=True, blank=True, help_text="The key of the last row that was looked at."
    )
    due_at = models.DateTimeField(help_text="From then on a process may do the next bit.")

    class Meta:
        verbose_name_plural = "upkeep"

    def __str__(self) -> str:
        return self.name
