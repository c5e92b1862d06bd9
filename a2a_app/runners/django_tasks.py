"""The runner on Django's Tasks framework, which brings turns to workers by any of its backends.

The framework is `django.tasks` from Django 6.0 on, and the package `django-tasks` before. Its
workers are synchronous, so that turns run on an event loop in another thread.
"""

import threading
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from uuid import UUID

from django.core import mail

from a2a_app import conf, database, runners
from a2a_app.concurrency.threads import run_in_own_thread
from a2a_app.runners.loops import run_in_background
from a2a_app.runners.queued import QueuedRunner, work

FRAMEWORK = "django.tasks" if find_spec("django.tasks") else "django_tasks"
tasks: Any = import_module(FRAMEWORK)
immediate: Any = import_module(f"{FRAMEWORK}.backends.immediate")
dummy: Any = import_module(f"{FRAMEWORK}.backends.dummy")


# The decorator of either framework, so that it has no one type.
@tasks.task(  # type: ignore[untyped-decorator]  # as said
    backend=conf.current().task_backend, queue_name=conf.current().task_queue
)
def answer(task_id: str) -> None:
    """Work on a task's turns, in any worker of the backend."""
    # A worker that does its jobs in the main thread does one after the other.
    slots = 1 if threading.current_thread() is threading.main_thread() else None
    run_in_background(work(task_id, slots=slots), runners.current().end)


class TasksRunner(QueuedRunner):
    """Enqueues a task of the framework for each turn, once the turn is stored."""

    async def enqueue_again(self, task_id: UUID) -> None:
        """Enqueue a turn that nobody has begun; raises the errors of the backend."""
        enqueue = partial(answer.enqueue, str(task_id))
        if isinstance(answer.get_backend(), immediate.ImmediateBackend):
            # It waits for the agent, which needs the threads for the database.
            await run_in_own_thread(enqueue)
        else:
            await database.run(enqueue)

    async def serve(self, stop: object) -> None:
        """Raise NotImplementedError, since the backend has workers of its own."""
        raise NotImplementedError(
            "Turns come to the workers of the backend in TASKS: start those, such as "
            "`manage.py db_worker` of django-tasks-db."
        )

    def check(self) -> list[str]:
        """List a backend that is for tests, unless this is a test."""
        for_tests = (immediate.ImmediateBackend, dummy.DummyBackend)
        # Only in Django's test environment is there an outbox.
        if isinstance(answer.get_backend(), for_tests) and not hasattr(mail, "outbox"):
            alias = conf.current().task_backend
            return [f"TASKS[{alias!r}] has no workers: set a backend that has, such as a database."]
        return []
