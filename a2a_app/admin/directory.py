"""The directory in the admin: agents elsewhere, where they are, and how they do."""

import json
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_lazy

from a2a_app import conf
from a2a_app.admin.actions import Action, perform_action
from a2a_app.admin.lists import CheckedChangeList, EmptyFilter, newest
from a2a_app.admin.staff import perform
from a2a_app.agents import registry
from a2a_app.client.visits import visit, visit_all
from a2a_app.models import DirectoryEntry
from a2a_app.pages.states import toned, verbatim
from a2a_app.push.targets import TargetError, check_url

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[DirectoryEntry]
    Form = ModelForm[DirectoryEntry]
else:
    ModelAdmin, Form = admin.ModelAdmin, ModelForm


class DirectoryEntryForm(Form):
    """The form for an agent elsewhere."""

    def clean_name(self) -> str:
        """Refuse a name that leads elsewhere already."""
        name: str = self.cleaned_data["name"]
        if name in registry.slugs():
            raise ValidationError(gettext("An agent of this project has that slug."))
        if name in conf.current().remote_agents:
            raise ValidationError(
                gettext("%(setting)s has that name.") % {"setting": f"{conf.NAME}['REMOTE_AGENTS']"}
            )
        return name

    def clean_url(self) -> str:
        """Refuse a URL to which this server sends nothing."""
        url: str = self.cleaned_data["url"].strip()
        try:
            check_url(url)
        except TargetError as error:
            fault = gettext(error.template) % error.values
            raise ValidationError(gettext("The URL %(fault)s.") % {"fault": fault}) from None
        return url

    def clean_key(self) -> str:
        """Refuse what is no public key."""
        key: str = self.cleaned_data["key"].strip()
        if key:
            try:
                from a2a_app.agents import signing  # loaded here: needs an extra

                signing.read_key(key)
            except ImportError as error:
                raise ValidationError(
                    gettext("Keys need the extra 'signing': %(error)s") % {"error": error}
                ) from None
            except ValueError:
                text = gettext(
                    "The key must be in PEM and without a passphrase: RSA of at least %(bits)d "
                    "bits, or on the curve P-256."
                )
                raise ValidationError(text % {"bits": signing.MIN_RSA_BITS}) from None
        return key


class PublicFilter(admin.SimpleListFilter):
    """Filters the newest rows by whether the catalog lists them."""

    title = gettext_lazy("public")
    parameter_name = "public"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the two choices."""
        return [("yes", gettext("Yes")), ("no", gettext("No"))]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[DirectoryEntry]
    ) -> QuerySet[DirectoryEntry]:
        """Return those of the newest rows that are, or are not."""
        if self.value() not in ("yes", "no"):
            return queryset
        return newest(queryset).filter(is_public=self.value() == "yes")


class FailingFilter(EmptyFilter):
    """Filters by whether the agent answers as it must."""

    title = gettext_lazy("failing")
    parameter_name = "failing_since"


@admin.register(DirectoryEntry)
class DirectoryEntryAdmin(ModelAdmin):
    """Agents elsewhere. Each is looked at once it is saved, and whenever staff wants."""

    form = DirectoryEntryForm
    list_display = ("name", "host", "is_public", "health", "checked_at")
    list_filter = (PublicFilter, FailingFilter)
    list_defer = ("card", "listing")
    ordering = ("-pk",)
    search_fields = ("name",)
    actions = ("look_at",)
    fields = ("name", "url", "is_public", "signature", "key")
    readonly_fields = (
        "health",
        "checked_at",
        "failing_since",
        "card_url",
        "identifier",
        "shown_card",
    )

    class Media:
        css = {"all": ["a2a_app/a2a.css"]}  # noqa: RUF012  # Django reads it and never changes it

    def get_changelist(self, request: HttpRequest, **_: Any) -> type[CheckedChangeList]:
        """Return the class of the list."""
        return CheckedChangeList

    def get_fields(self, request: HttpRequest, obj: DirectoryEntry | None = None) -> Any:
        """Return the fields to fill in, and for an old entry what was found too."""
        return (*self.fields, *self.readonly_fields) if obj else self.fields

    @admin.display(description=gettext_lazy("host"))
    def host(self, row: DirectoryEntry) -> str:
        """Return the host in its URL."""
        return urlsplit(row.url).hostname or ""

    @admin.display(description=gettext_lazy("health"))
    def health(self, row: DirectoryEntry) -> SafeString:
        """Return in words how the agent does, with a colour."""
        if row.checked_at is None:
            return toned("neutral", gettext("not looked at yet"))
        if row.failing_since:
            return toned("bad", gettext("fails: %(error)s") % {"error": row.error})
        return toned("good", gettext("well"))

    @admin.display(description=gettext_lazy("card"))
    def shown_card(self, row: DirectoryEntry) -> str:
        """Return the card, as it was found last."""
        if row.card is None:
            return "-"
        return verbatim(json.dumps(row.card, indent=2, ensure_ascii=False))

    def save_model(
        self, request: HttpRequest, obj: DirectoryEntry, form: Form, change: bool
    ) -> None:
        """Save an entry, and look at the agent once that is committed."""
        if change and "url" in form.changed_data:
            # What was found is of another agent.
            obj.card, obj.listing, obj.card_url, obj.identifier = None, None, "", ""
            obj.checked_at, obj.failing_since, obj.error = None, None, ""
        super().save_model(request, obj, form, change)
        transaction.on_commit(partial(self._visit, request, obj.name), using=obj._state.db)

    def _visit(self, request: HttpRequest, name: str) -> None:
        if reason := perform(request, visit(name)):
            text = gettext("The agent does not answer as it must: %(reason)s")
            self.message_user(request, text % {"reason": reason}, messages.WARNING)
        else:
            self.message_user(request, gettext("The agent answers, and its card is as it must be."))

    @admin.action(description=gettext_lazy("Look at selected agents again"), permissions=["change"])
    def look_at(
        self, request: HttpRequest, queryset: QuerySet[DirectoryEntry]
    ) -> HttpResponse | None:
        """Fetch the cards of agents, and verify them."""
        action = Action(
            "look_at",
            gettext("Look at agents"),
            gettext(
                "Their cards are fetched and verified, and stored where they are as they must be."
            ),
            gettext("Looked at"),
            lambda rows: rows,
            self._look_at,
        )
        return perform_action(self, request, queryset, action)

    def _look_at(self, request: HttpRequest, rows: list[DirectoryEntry]) -> list[str]:
        wrong = perform(request, visit_all([row.name for row in rows]))
        return [f"{name}: {reason}" for name, reason in wrong.items()]
