"""The runner on Celery: a job that is lost, doubled or late changes nothing but when a turn begins.

A job says that a task has a turn. Which turns there are, and who works on each, is in our database.
Celery's workers are synchronous, so that turns run on an event loop in another thread. There is one
for each process: with the pool `threads` all turns of a worker share it, and with `prefork` each
child has its own.
"""

import asyncio
import os
import threading
from functools import partial
from typing import Any
from uuid import UUID

from celery import current_app, shared_task, signals
from celery.concurrency.prefork import TaskPool as Prefork
from django.core import mail
from django.db import connections

from a2a_app import runners
from a2a_app.concurrency.threads import Pool, run_in_own_thread
from a2a_app.runners.loops import begin_in_background, begin_to_end, end, run_in_background
from a2a_app.runners.queued import QueuedRunner, work

JOB = "a2a_app.answer"
# How long a broker may take for a job. Then the sweep enqueues the turn again.
ENQUEUE_SECONDS = 2.0
# A connection of Celery's pool may have died unnoticed.
_RETRY = {"max_retries": 2, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2}
# A limit that the project has for its own jobs is not meant for turns, whose agents have theirs.
_WEEK = 7 * 24 * 3600


# It is untyped, as all of Celery.
@shared_task(  # type: ignore[untyped-decorator]  # as said
    name=JOB,
    ignore_result=True,
    # So that jobs under way count among those that a worker has taken, and others get the rest.
    acks_late=True,
    reject_on_worker_lost=False,
    time_limit=_WEEK,
    soft_time_limit=_WEEK,
)
def answer(task_id: str) -> None:
    """Work on a task's turns, in any worker of the project."""
    run_in_background(work(task_id), _end)


async def _end() -> None:
    await runners.current().end()


class CeleryRunner(QueuedRunner):
    """Sends a job to Celery for each turn, once the turn is stored."""

    needs_workers = True

    def __init__(self) -> None:
        super().__init__()
        # Not those for the database: a broker that hangs would keep everybody from it.
        self._threads = Pool(4, name="a2a-celery", at_end=connections.close_all)

    async def enqueue_again(self, task_id: UUID) -> None:
        """Send a job; raises the errors of the broker, and TimeoutError where it is silent."""
        send = partial(answer.apply_async, (str(task_id),), retry_policy=_RETRY)
        if current_app.conf.task_always_eager:
            # It waits for the agent.
            await run_in_own_thread(send)
            return
        async with asyncio.timeout(ENQUEUE_SECONDS):
            await self._threads.run(send)

    async def serve(self, stop: object) -> None:
        """Raise NotImplementedError, since Celery has workers of its own."""
        raise NotImplementedError(
            "Turns come to the workers of Celery: start those, such as "
            "`celery --app mysite worker --pool threads`."
        )

    def check(self) -> list[str]:
        """List what keeps jobs from workers: that there is no app, or settings for tests."""
        if current_app.main == "default":
            return ["There is no Celery app: import the project's in its package's __init__.py."]
        # Only in Django's test environment is there an outbox.
        if hasattr(mail, "outbox"):
            return []
        if current_app.conf.task_always_eager:
            return ["Celery's task_always_eager is on: turns would come to no worker."]
        if str(current_app.conf.broker_url).startswith("memory"):
            return ["Celery's broker is in memory, so no worker hears of a turn."]
        return []


# A worker that is asked to end waits for its jobs, for as long as they take, and its children hear
# nothing of it. So each of them has one end of a pipe, whose other end the worker then closes.
_pipe: tuple[int, int] | None = None
_main = 0


def _open_pipe(**_: Any) -> None:
    global _pipe, _main
    _pipe, _main = os.pipe(), os.getpid()


def _listen_to_parent(**_: Any) -> None:
    # The pool `solo` has no children, and one that was not forked has no pipe.
    if _pipe is not None and os.getpid() != _main:
        os.close(_pipe[1])
        threading.Thread(target=_wait_for_parent, args=(_pipe[0],), daemon=True).start()


async def _sign_on(slots: int) -> None:
    runner = runners.current()
    await runner.begin()
    runner.worker.sign_on(slots)


def _begin_child(**_: Any) -> None:
    # The pool `solo` sends the signal from the worker itself, which is not yet ready.
    if os.getpid() != _main and _takes_turns():
        begin_in_background(_sign_on(slots=1))


def _begin_worker(sender: Any, **_: Any) -> None:
    # The children of the pool `prefork` work on turns, and the worker itself does not.
    if not isinstance(sender.pool, Prefork) and _takes_turns():
        begin_in_background(_sign_on(slots=sender.pool.limit))


def _takes_turns() -> bool:
    """Tell whether jobs for turns come to this worker: it may be for other queues only."""
    queues = current_app.amqp
    route = queues.router.lookup_route(JOB) or {}
    wanted = route if isinstance(route, str) else route.get("queue")
    name = getattr(wanted, "name", wanted) or current_app.conf.task_default_queue
    return isinstance(runners.current(), CeleryRunner) and name in queues.queues.consume_from


def _wait_for_parent(pipe: int) -> None:
    os.read(pipe, 1)
    begin_to_end(_end)


def _tell_children(**_: Any) -> None:
    global _pipe
    begin_to_end(_end)
    if _pipe is not None:
        os.close(_pipe[1])
        _pipe = None


def _end_with_process(**_: Any) -> None:
    end(_end)


signals.worker_init.connect(_open_pipe)
signals.worker_process_init.connect(_listen_to_parent)
signals.worker_process_init.connect(_begin_child)
signals.worker_ready.connect(_begin_worker)
signals.worker_shutting_down.connect(_tell_children)
signals.worker_process_shutdown.connect(_end_with_process)
signals.worker_shutdown.connect(_end_with_process)
