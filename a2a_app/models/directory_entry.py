"""DirectoryEntry: an agent elsewhere that staff has registered."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from a2a_app.database.values import VerbatimJSONField, new_key


class DirectoryEntry(models.Model):
    """An agent elsewhere, by a name of the project's, and what was found at its URL."""

    id = models.UUIDField(primary_key=True, default=new_key, editable=False)
    name = models.SlugField(
        max_length=100,
        unique=True,
        help_text=_("The name by which this project calls it, such as in RemoteAgent(…)."),
    )
    url = models.TextField("URL", help_text=_("Where it is, or its card."))
    is_public = models.BooleanField(
        "public", default=False, help_text=_("Whether the site's catalog lists it for everybody.")
    )
    signature = models.CharField(
        max_length=10,
        choices={
            "check": _("of a card that has one"),
            "require": _("of every card"),
            "ignore": _("of no card"),
        },
        default="check",
        help_text=_("Whether the signature must be valid."),
    )
    key = models.TextField(
        blank=True, help_text=_("The public key of its card, in PEM. Empty: what its own host has.")
    )
    card = VerbatimJSONField(
        null=True, editable=False, help_text="Its card, as it was found last. Empty: never."
    )
    card_url = models.TextField("card's URL", blank=True, editable=False)
    identifier = models.TextField(
        blank=True,
        editable=False,
        help_text=_("By which its publisher's own catalog knows it. Empty: that does not have it."),
    )
    listing = VerbatimJSONField(
        null=True, editable=False, help_text="What the catalog says of it, made of the card."
    )
    checked_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text=_("When it was looked at last.")
    )
    failing_since = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text=_("Since when it does not answer as it must."),
    )
    error = models.TextField(blank=True, editable=False, help_text="Why, the last time.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "agent elsewhere"
        verbose_name_plural = "agents elsewhere"

    def __str__(self) -> str:
        return self.name
