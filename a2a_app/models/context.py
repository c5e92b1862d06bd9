"""Context: a conversation."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from a2a_app.database.values import VerbatimJSONField, new_key


class Context(models.Model):
    """One conversation of one owner with one agent, named by a contextId (section 3.4.1)."""

    id = models.UUIDField(primary_key=True, default=new_key, editable=False)
    context_id = models.CharField(max_length=255, help_text=_("The contextId that clients use."))
    agent = models.CharField(max_length=100)
    owner = models.CharField(max_length=255, blank=True)
    caller = models.CharField(
        max_length=255, blank=True, help_text="The owner without its tenant, to find a person's."
    )
    state = VerbatimJSONField(default=dict, blank=True, help_text="What the agent remembers.")
    version = models.PositiveIntegerField(default=0, help_text="How often the state was written.")
    stored = models.PositiveBigIntegerField(
        default=0, help_text="How many bytes its answers without a task have, with their files."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["caller", "id"], name="a2a_context_of_caller")]
        constraints = [
            # The contextId first: with it alone the admin searches.
            models.UniqueConstraint(
                fields=["context_id", "agent", "owner"], name="a2a_context_of_owner"
            ),
        ]

    def __str__(self) -> str:
        return self.context_id
