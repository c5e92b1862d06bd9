"""Actions: a page that says the true number, and then batches of what is possible.

An action may be for a million rows, and a request must end. So each request does as many as it can
in some seconds, and its page sends the next one, from the row where it has stopped. Rows that come
meanwhile are not meant.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from a2a_app.admin.lists import ModelAdmin

# For how long one request works, and how many rows it reads at once.
SECONDS = 3.0
BATCH = 100
# How many reasons for which rows are left out a page tells apart.
REASONS = 8


@dataclass(frozen=True, slots=True)
class Action:
    """What is done with rows that staff has chosen."""

    name: str
    """The name of the admin's method, by which Django calls it."""
    title: str
    """What it is called."""
    explanation: str
    """What it does, for the page before it begins."""
    done: str
    """What was done, before the number of rows."""
    possible: Callable[[QuerySet[Any]], QuerySet[Any]]
    """Returns those of the rows with which it is possible."""
    do: Callable[[HttpRequest, list[Any]], Iterable[str]]
    """Does it with a batch; returns for each row that is left out the reason."""


class Progress:
    """How far an action has come, as its pages pass it from one request to the next."""

    def __init__(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        """Go on where the last page has stopped; else begin at the newest of the rows."""
        post = request.POST
        self.first = _uuid(post.get("first")) or rows.values_list("pk", flat=True).first()
        self.after = _uuid(post.get("after"))
        self.total = _number(post.get("total"))
        self.counts: Counter[str] = Counter()
        with suppress(ValueError, AttributeError):
            given = json.loads(post.get("counts", "{}")).items()
            self.counts.update({str(name): _number(count) for name, count in given})

    @property
    def fields(self) -> dict[str, Any]:
        """What the next page has to send."""
        counts = json.dumps(dict(self.counts))
        return {"first": self.first, "after": self.after, "total": self.total, "counts": counts}

    @property
    def seen(self) -> int:
        """How many rows were dealt with."""
        return self.counts.total()

    def next_batch(self, rows: QuerySet[Any]) -> list[Any]:
        """Return the next of the rows, none where all were dealt with."""
        rows = rows.filter(pk__lte=self.first) if self.first else rows.none()
        if self.after is not None:
            rows = rows.filter(pk__lt=self.after)
        return list(rows[:BATCH])

    def add(self, batch: list[Any], left_out: Iterable[str]) -> None:
        """Count a batch that was dealt with."""
        reasons = list(left_out)
        self.counts[""] += len(batch) - len(reasons)
        for reason in reasons:
            known = reason in self.counts or len(self.counts) <= REASONS
            self.counts[reason if known else _("Other reasons")] += 1
        self.after = batch[-1].pk


def perform_action(
    shown: ModelAdmin, request: HttpRequest, chosen: QuerySet[Any], action: Action
) -> HttpResponse | None:
    """Ask before an action, do it for some seconds, and ask for the next request or tell the end.

    Args:
        shown: The admin of the rows.
        request: The request: that of the list, or of one of the pages that this returns.
        chosen: The rows that were chosen.
        action: What is to be done with them.
    """
    rows = action.possible(chosen).order_by("-pk")
    progress = Progress(request, rows)
    if "confirmed" not in request.POST:
        progress.total = rows.count()
        return _page(shown, request, action, progress, chosen=chosen.count())
    for batch in _batches(progress, rows):
        progress.add(batch, action.do(request, batch))
    if progress.next_batch(rows):
        return _page(shown, request, action, progress)
    _tell(shown, request, action, progress.counts)
    return None


def _batches(progress: Progress, rows: QuerySet[Any]) -> Iterator[list[Any]]:
    """Yield batches for some seconds, one at least."""
    until = time.monotonic() + SECONDS
    while batch := progress.next_batch(rows):
        yield batch
        if time.monotonic() >= until:
            return


def _page(
    shown: ModelAdmin,
    request: HttpRequest,
    action: Action,
    progress: Progress,
    chosen: int | None = None,
) -> HttpResponse:
    context = {
        **shown.admin_site.each_context(request),
        "title": action.title,
        "action": action,
        "chosen": chosen,
        "progress": progress,
        "selected": request.POST.getlist("_selected_action"),
        "select_across": request.POST.get("select_across", "0"),
        "opts": shown.opts,
        "media": shown.media,
    }
    return TemplateResponse(request, "a2a_app/action.html", context)


def _tell(shown: ModelAdmin, request: HttpRequest, action: Action, counts: "Counter[str]") -> None:
    """Tell the end of an action in one message."""
    left_out = [f"{count}: {reason}" for reason, count in counts.most_common() if reason and count]
    text = f"{action.done}: {counts['']}."
    if left_out:
        text += " " + _("Left out: %(reasons)s") % {"reasons": "; ".join(left_out)}
    shown.message_user(request, text, messages.WARNING if left_out else messages.SUCCESS)


def _uuid(text: str | None) -> UUID | None:
    with suppress(ValueError, TypeError):
        return UUID(text)
    return None


def _number(value: Any) -> int:
    with suppress(ValueError, TypeError):
        return max(0, int(value))
    return 0
