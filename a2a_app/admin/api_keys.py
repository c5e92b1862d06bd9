"""API keys in the admin, where they are issued, shown once, and revoked."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth import get_permission_codename
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext, gettext_lazy, gettext_noop

from a2a_app.admin.actions import Action, perform_action
from a2a_app.admin.lists import CheckedChangeList
from a2a_app.admin.staff import changed
from a2a_app.agents import registry
from a2a_app.authentication.changes import announce_after_commit
from a2a_app.authentication.key_events import record_after_commit
from a2a_app.models import ApiKey
from a2a_app.models.owners import name_of_user
from a2a_app.operations.call import SCOPES
from a2a_app.security import SecurityEvent

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[ApiKey]
    Form = ModelForm[ApiKey]
else:
    ModelAdmin, Form = admin.ModelAdmin, ModelForm


# What the history of a key says: "Changed …".
REVOKED = gettext_noop("state to “revoked”")


class ApiKeyForm(Form):
    """The form for a key, which knows the scopes and agents that there are.

    Its class on a page knows who fills it in.
    """

    may_act_as: Callable[[Any], bool]

    def clean_user(self) -> Any:
        """Refuse a user for whom whoever fills it in may issue no key."""
        user = self.cleaned_data["user"]
        if not self.may_act_as(user):
            raise ValidationError(
                gettext("You may issue keys for yourself and for users you may change.")
            )
        return user

    def clean_scopes(self) -> str:
        """Refuse a scope that there is not, by which a key would allow nothing."""
        return _known_words(self.cleaned_data["scopes"], SCOPES)

    def clean_agents(self) -> str:
        """Refuse an agent that there is not."""
        return _known_words(self.cleaned_data["agents"], registry.slugs())


def _known_words(text: str, known: Iterable[str]) -> str:
    words = text.split()
    if unknown := sorted(set(words).difference(known)):
        text = gettext("Unknown: %(unknown)s. There are %(known)s.")
        names = {"unknown": ", ".join(unknown), "known": ", ".join(known)}
        raise ValidationError(text % names)
    return " ".join(words)


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):
    """API keys by user. Only the page that follows the form for a new key shows the key itself."""

    form = ApiKeyForm
    list_display = (
        "name", "user", "prefix", "created_at", "last_used_at", "expires_at", "revoked_at",
    )  # fmt: skip  # read as two lines it is one list
    list_select_related = ("user",)
    ordering = ("-pk",)
    search_fields = ("name", "prefix")
    raw_id_fields = ("user",)
    actions = ("revoke",)
    readonly_fields = ("prefix", "created_at", "last_used_at", "revoked_at")

    def get_changelist(self, request: HttpRequest, **_: Any) -> type[ChangeList]:
        """Return the class of the list."""
        return CheckedChangeList

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        """Return the fields to fill in, and for an old key those that are only shown."""
        editable = ("name", "user", "scopes", "agents", "expires_at")
        return (*editable, *self.readonly_fields) if obj else editable

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        """Forbid a change of a key's user, to whom all that was done with the key belongs."""
        return (*self.readonly_fields, "user") if obj else ()

    def get_form(
        self, request: HttpRequest, obj: ApiKey | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """Return the form of a page, which knows for whom its reader may issue keys."""
        form = super().get_form(request, obj, change, **kwargs)
        may_act_as = staticmethod(lambda user: self.may_act_as(request, user))
        return type(form.__name__, (form,), {"may_act_as": may_act_as})

    def may_act_as(self, request: HttpRequest, user: Any) -> bool:
        """Tell whether staff may issue a key that lets its holder act as a user.

        It may for itself and for users that it may change, but for a superuser only if it is one.
        """
        someone: Any = request.user
        if someone.pk == user.pk or someone.is_superuser:
            return True
        if getattr(user, "is_superuser", False):
            return False
        options = type(user)._meta
        # The project's own admin for users may know more than the permission of the model.
        users = self.admin_site._registry.get(options.concrete_model)
        if users is not None:
            return users.has_change_permission(request, user)
        codename = get_permission_codename("change", options)
        return bool(someone.has_perm(f"{options.app_label}.{codename}"))

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        """Refuse to change the key of a user for whom one may issue none: it may be expired."""
        allowed = super().has_change_permission(request, obj)
        return allowed and (obj is None or self.may_act_as(request, obj.user))

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Form, change: bool) -> None:
        """Issue a new key, or save the changes to an old one."""
        obj.actor = name_of_user(request.user.pk)
        if change:
            super().save_model(request, obj, form, change)
            return
        obj.issue()
        obj.save()

    def response_add(
        self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the key, on a page that is not cached."""
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("API key issued"),
            "row": obj,
        }
        response = TemplateResponse(request, "a2a_app/api_key_issued.html", context)
        add_never_cache_headers(response)
        return response

    def delete_model(self, request: HttpRequest, obj: ApiKey) -> None:
        """Delete a key, in the name of whoever asks for it."""
        obj.actor = name_of_user(request.user.pk)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """Delete keys one by one, as `delete_model` does."""
        for row in queryset:
            self.delete_model(request, row)

    @admin.action(description=gettext_lazy("Revoke selected API keys"), permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> HttpResponse | None:
        """Refuse the keys from now on."""
        action = Action(
            "revoke",
            gettext("Revoke API keys"),
            gettext("The keys are refused from now on, and what was begun with them ends."),
            gettext("Revoked"),
            lambda rows: rows.filter(revoked_at=None).select_related("user"),
            self._revoke,
        )
        return perform_action(self, request, queryset, action)

    def _revoke(self, request: HttpRequest, rows: list[ApiKey]) -> list[str]:
        left_out = []
        for row in rows:
            # One that others revoke meanwhile is theirs.
            unrevoked = ApiKey.objects.filter(pk=row.pk, revoked_at=None)
            if unrevoked.update(revoked_at=timezone.now()):
                self.log_change(request, row, changed(REVOKED))
                row.actor = name_of_user(request.user.pk)
                record_after_commit(SecurityEvent.KEY_REVOKED, row, ApiKey.objects.db)
            else:
                left_out.append(gettext("It is revoked already."))
        announce_after_commit(ApiKey.objects.db)
        return left_out
