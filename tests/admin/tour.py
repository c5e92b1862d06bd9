"""A tour of the admin: every page that shows our rows, in every way that its URL can ask for."""

import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client as Browser
from django.test import RequestFactory
from django.urls import reverse

from a2a_app import models

# In the list of a model: the key of its first row.
_KEY = re.compile(r'href="[^"]*/([0-9a-f-]{36})/change/')


def take(task_id: str, context_id: str) -> None:
    """Visit every page, and cancel a task.

    Args:
        task_id: The task.
        context_id: A conversation in which much was said.
    """
    user = User.objects.create(username="someone", is_staff=True, is_superuser=True)
    models.ApiKey.objects.create(user=user, name="one")
    models.DirectoryEntry.objects.create(name="one", url="https://one.example.com")
    someone = Browser()
    someone.force_login(user)
    searched = [task_id, task_id[-12:], context_id, "127.0.0.1", "none"]
    with closing(connections["default"]):
        for model, shown in admin.site._registry.items():
            if model._meta.app_label == "a2a_app":
                _visit(someone.get, model, shown, searched)
        context = models.Context.objects.get(context_id=context_id)
        page = reverse("admin:a2a_app_context_change", args=[context.pk])
        for query in ({}, {"before": str(context.pk)}):
            assert someone.get(page, query).status_code == 200
        cancel = {"action": "cancel_tasks", "confirmed": "1", "_selected_action": [task_id]}
        assert someone.post(reverse("admin:a2a_app_task_changelist"), cancel).status_code == 302


def _visit(get: Callable[..., Any], model: Any, shown: Any, searched: list[str]) -> None:
    name = f"admin:a2a_app_{model._meta.model_name}"
    for query in _queries(model, shown, searched):
        assert get(reverse(f"{name}_changelist"), query).status_code == 200, (name, query)
    [key, *_] = _KEY.findall(get(reverse(f"{name}_changelist")).content.decode())
    for page in ("change", "history"):
        assert get(reverse(f"{name}_{page}", args=[key])).status_code == 200


def _queries(model: Any, shown: Any, searched: list[str]) -> Iterator[dict[str, Any]]:
    """Yield what a list may be asked: each choice of each filter, and pairs of them."""
    request = RequestFactory().get("/", {"owner": "nobody", "tenant": "acme"})
    request.user = User(is_active=True, is_superuser=True)
    choices = [
        [{each.parameter_name: str(value)} for value, _ in filtering.lookup_choices]
        for each in shown.get_list_filter(request)
        for filtering in [each(request, dict(request.GET.lists()), model, shown)]
    ]
    for one, other in itertools.combinations(filter(None, choices), 2):
        yield {**one[-1], **other[0]}
    yield from itertools.chain(*choices)
    yield from ({}, {"p": 2}, {"_facets": "True"})
    yield from ({"o": column + 1} for column in range(len(shown.get_list_display(request))))
    yield from ({"q": text} for text in searched)
