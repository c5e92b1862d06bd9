"""Visits: what each page of the admin costs in this process's database.

`benchmarks.admin` has it run by `manage.py shell`, which knows the database, and reads what it
prints.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.urls import reverse

from a2a_app import models

# How often each page is opened. The quickest counts: whatever else the machine does adds to it.
REPEATED = 9
CHOICES = {
    "the list, of a state that most have": "state=TASK_STATE_COMPLETED",
    "the list, of a state that none has": "state=TASK_STATE_REJECTED",
    "the list, of the past 7 days": "time=week",
    "the list, of an owner": "owner={owner}",
    "the list, of a tenant that there is not": "tenant=acme",
    "the list, of an agent": "agent=load",
    "the list, of tasks whose worker is gone": "stuck=lost",
    "the list, of tasks without a worker": "stuck=queued",
    "the list, of tasks that nobody is to work on": "stuck=idle",
    "the list, of tasks without an answer": "stuck=asking",
}
LISTS = {
    "what waits": "waitingtask",
    "the list of runs": "run",
    "the list of webhooks": "pushnotificationconfig",
    "the list of files": "file",
}


class Clock:
    """Counts statements, and adds up for how long the database was asked."""

    def __init__(self) -> None:
        self.statements, self.seconds = 0, 0.0

    def __call__(self, execute: Callable[..., Any], *args: Any) -> Any:
        begun = time.perf_counter()
        try:
            return execute(*args)
        finally:
            self.statements += 1
            self.seconds += time.perf_counter() - begun


def pages(large: str) -> Iterator[tuple[str, str]]:
    """Yield each page with its name, for a database with one large task."""
    tasks = reverse("admin:a2a_app_task_changelist")
    task = models.Task.objects.select_related("context").get(pk=large)
    small = models.Task.objects.exclude(pk=large).order_by("-pk")[0]
    run = small.runs.values_list("pk", flat=True)[0]
    yield "the overview, read anew", "/admin/a2a_app/"
    yield "the list of tasks", tasks
    for name, choice in CHOICES.items():
        yield name, f"{tasks}?{choice.format(owner=task.owner)}"
    for what, text in {
        "the end of an id": small.pk.hex[-12:],
        "a contextId": task.context.context_id,
        "a reference": f"The agent failed. Reference: {run}",
        "an owner": task.owner,
    }.items():
        yield f"the search for {what}", f"{tasks}?q={text}"
    yield "a task", reverse("admin:a2a_app_task_change", args=[small.pk])
    yield "the task with many chunks", reverse("admin:a2a_app_task_change", args=[large])
    conversation = reverse("admin:a2a_app_context_change", args=[task.context_id])
    yield "its conversation of many tasks", conversation
    for name, model in LISTS.items():
        yield name, reverse(f"admin:a2a_app_{model}_changelist")


def visit(client: Client, path: str) -> dict[str, float]:
    """Open a page again and again; return its statements, milliseconds of the database and kB."""
    milliseconds, statements, size = [], 0, 0
    for _ in range(REPEATED):
        cache.clear()
        clock = Clock()
        with connection.execute_wrapper(clock):
            response = client.get(path)
        assert response.status_code == 200, path
        milliseconds.append(clock.seconds * 1e3)
        statements, size = clock.statements, len(response.content)
    return {"statements": statements, "ms": min(milliseconds), "kB": size / 1e3}


def main() -> None:
    """Visit all pages, and print what each costs."""
    client = Client()
    client.force_login(User.objects.create_superuser("visitor"))
    found = {name: visit(client, path) for name, path in pages(os.environ["LARGE_TASK"])}
    print(json.dumps(found))
