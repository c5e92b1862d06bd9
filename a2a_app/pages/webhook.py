"""Webhooks as people read them: their state in words, and where they are."""

from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from a2a_app import models


class WebhookState(NamedTuple):
    """How a webhook does, by a row without its URL and its secrets."""

    tone: str
    words: str
    answer: str
    """What came of the last request to it."""


def state_of(row: models.PushNotificationConfig) -> WebhookState:
    """Return how a webhook does, in the language of the request."""
    return WebhookState(*_state(row), answer=row.error or _("It did not fail."))


def _state(row: models.PushNotificationConfig) -> tuple[str, str]:
    if row.dead_at is not None:
        return "bad", _("given up since %(time)s") % {"time": _time(row.dead_at)}
    if row.failing_since is not None:
        text = _("failing since %(since)s, tried again at %(due)s")
        return "asks", text % {"since": _time(row.failing_since), "due": _time(row.due_at)}
    missing = row.announced - row.delivered
    if missing <= 0:
        return "good", _("has got all events")
    text = ngettext("%(count)d event is on its way", "%(count)d events are on their way", missing)
    return "busy", text % {"count": missing}


def _time(moment: datetime | None) -> str:
    return date_format(localtime(moment), "DATETIME_FORMAT") if moment else "-"


def origin_of(url: str) -> str:
    """Return the beginning of a URL. The rest is often the only secret of a receiver.

    Whoever knows all of it may send there.
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}/…"
