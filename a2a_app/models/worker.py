"""Worker: a process that works on turns, as it says of itself."""

from django.db import models

from a2a_app.database.values import VerbatimJSONField


class Worker(models.Model):
    """A process that works on turns, and when it last gave a sign of life.

    More exactly an event loop of one. A row that is there says nothing else than `seen_at`: a
    process that was killed leaves its row, until a sweep of another one deletes it.
    """

    name = models.CharField(
        max_length=100, primary_key=True, help_text="The name by which its runs say whose they are."
    )
    runner = models.CharField(max_length=200, help_text="How turns come to it: its RUNNER.")
    slots = models.PositiveIntegerField(help_text="How many turns it works on at once at most.")
    revisions = VerbatimJSONField(
        default=dict, help_text="The revisions that its agents declare, by the agents' slugs."
    )
    begun_at = models.DateTimeField(help_text="When it began, by the database's clock.")
    seen_at = models.DateTimeField(help_text="Its last sign of life, by the database's clock.")

    def __str__(self) -> str:
        return self.name
