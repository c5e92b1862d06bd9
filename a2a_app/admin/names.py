"""The names of models and of their fields, in the language of whoever reads them.

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

FIELDS = {
    "accepted_output_modes": _("accepted output modes"),
    "agent": _("agent"),
    "agents": _("agents"),
    "answer": _("answer"),
    "attempt": _("attempt"),
    "caller": _("caller"),
    "card_url": _("card URL"),
    "checked_at": _("checked at"),
    "choice": _("choice"),
    "choices": _("choices"),
    "comment": _("comment"),
    "config_id": _("config id"),
    "context": _("context"),
    "context_id": _("context id"),
    "cost": _("cost"),
    "created_at": _("created at"),
    "currency": _("currency"),
    "data": _("data"),
    "day": _("day"),
    "dead_at": _("given up at"),
    "decided_as": _("decided as"),
    "decided_by": _("decided by"),
    "due_at": _("due at"),
    "ended_at": _("ended at"),
    "ending": _("ending"),
    "expires_at": _("expires at"),
    "extensions": _("extensions"),
    "failing_since": _("failing since"),
    "failures": _("failures"),
    "filename": _("filename"),
    "host": _("host"),
    "id": _("id"),
    "identifier": _("identifier"),
    "input_tokens": _("input tokens"),
    "is_public": _("public"),
    "key": _("key"),
    "last_used_at": _("last used at"),
    "lease_until": _("lease until"),
    "media_type": _("media type"),
    "message": _("message"),
    "metadata": _("metadata"),
    "model": _("model"),
    "name": _("name"),
    "operation": _("operation"),
    "outcome": _("outcome"),
    "output_tokens": _("output tokens"),
    "owner": _("owner"),
    "payload": _("payload"),
    "per": _("per"),
    "permission": _("permission"),
    "prefix": _("prefix"),
    "question": _("question"),
    "refused_at": _("refused at"),
    "refused_by": _("refused by"),
    "revision": _("revision"),
    "revoked_at": _("revoked at"),
    "scheme": _("scheme"),
    "scopes": _("scopes"),
    "signature": _("signature"),
    "size": _("size"),
    "spender": _("spender"),
    "started_at": _("started at"),
    "status_at": _("status at"),
    "storage": _("storage"),
    "task": _("task"),
    "tokens": _("tokens"),
    "turn": _("turn"),
    "until": _("until"),
    "url": _("URL"),
    "user": _("user"),
    "worker": _("worker"),
}
"""Of each field that a list has as a column, or a page shows."""


def translate_names() -> None:
    """Name the models and their fields."""
    for model, (one, many) in MODELS.items():
        names: dict[str, object] = {"verbose_name": one, "verbose_name_plural": many}
        vars(model._meta).update(names)
        for field in model._meta.fields:
            if field.name in FIELDS:
                field.verbose_name = FIELDS[field.name]
