"""The names of models and of their columns, in the language of whoever reads them.

They are not in the models, since migrations store what these say.
"""

from django.db.models import Model
from django.utils.translation import gettext_lazy as _

from a2a_app import models

MODELS: dict[type[Model], tuple[object, object]] = {
    models.ApiKey: (_("API key"), _("API keys")),
    models.Approval: (_("approval"), _("approvals")),
    models.Context: (_("context"), _("contexts")),
    models.DirectoryEntry: (_("agent elsewhere"), _("agents elsewhere")),
    models.Failure: (_("failure without a task"), _("failures without a task")),
    models.File: (_("file"), _("files")),
    models.PushNotificationConfig: (_("push notification config"), _("push notification configs")),
    models.Run: (_("run"), _("runs")),
    models.Spending: (_("day's spending"), _("spending by day")),
    models.StoredBytes: (_("owner at a limit"), _("owners at their limits")),
    models.Task: (_("task"), _("tasks")),
    models.TokenUsage: (_("token usage"), _("token usage")),
}
"""Of each model that the admin shows: one, and several."""

COLUMNS = {
    "agent": _("agent"),
    "checked_at": _("checked at"),
    "choice": _("choice"),
    "context_id": _("context id"),
    "cost": _("cost"),
    "created_at": _("created at"),
    "currency": _("currency"),
    "day": _("day"),
    "decided_as": _("decided as"),
    "decided_by": _("decided by"),
    "ended_at": _("ended at"),
    "ending": _("ending"),
    "expires_at": _("expires at"),
    "failures": _("failures"),
    "host": _("host"),
    "id": _("id"),
    "input_tokens": _("input tokens"),
    "is_public": _("public"),
    "last_used_at": _("last used at"),
    "lease_until": _("lease until"),
    "media_type": _("media type"),
    "model": _("model"),
    "name": _("name"),
    "operation": _("operation"),
    "outcome": _("outcome"),
    "output_tokens": _("output tokens"),
    "owner": _("owner"),
    "per": _("per"),
    "permission": _("permission"),
    "prefix": _("prefix"),
    "refused_at": _("refused at"),
    "refused_by": _("refused by"),
    "revision": _("revision"),
    "revoked_at": _("revoked at"),
    "size": _("size"),
    "spender": _("spender"),
    "started_at": _("started at"),
    "status_at": _("status at"),
    "task": _("task"),
    "tokens": _("tokens"),
    "user": _("user"),
    "worker": _("worker"),
}
"""Of each field that a list has as a column."""


def translate_names() -> None:
    """Name the models and their columns."""
    for model, (one, many) in MODELS.items():
        names: dict[str, object] = {"verbose_name": one, "verbose_name_plural": many}
        vars(model._meta).update(names)
        for field in model._meta.fields:
            if field.name in COLUMNS:
                field.verbose_name = COLUMNS[field.name]
