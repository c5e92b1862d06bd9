"""The Procrastinate runner: PostgreSQL is the queue, and each worker runs many turns at once.

A job says that a task has a turn, and is stored in the turn's own transaction. The outcome of a job
says nothing about the task. If a worker dies, the leases of its runs run out.
"""

import asyncio
import logging
from uuid import UUID

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from procrastinate import App, Blueprint
from procrastinate.contrib.django import app as project_app
from procrastinate.contrib.django.django_connector import DjangoConnector
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.jobs import DEFAULT_PRIORITY, DeleteJobCondition, Status
from procrastinate.sql import queries
from procrastinate.types import JobToDefer
from psycopg.types.json import Jsonb

from a2a_app import conf, database
from a2a_app.database.statements import Write
from a2a_app.runners.connector import WorkerConnector
from a2a_app.runners.queued import QueuedRunner, work

logger = logging.getLogger(__name__)

QUEUE = "a2a"
JOB = "a2a_app.answer"
# The pause before a worker connects again to a database that was away.
RETRY_SECONDS = 1.0
# How long a worker that ends waits for its queue.
LEAVE_SECONDS = 2.0
# How often a worker with free slots looks for jobs. It is notified of new ones, but not of those
# that come after its first look and before it listens.
POLL_SECONDS = 1.0
# What Procrastinate sends to store jobs, as a part of another statement.
_STORE_JOBS = queries["defer_jobs"].rstrip(";") % {"jobs": "%s"}


class ProcrastinateRunner(QueuedRunner):
    """Stores a job of Procrastinate for each turn, in the database that has the tasks."""

    needs_workers = True

    def __init__(self) -> None:
        super().__init__()
        # The project's own workers can do our jobs too, if they serve all queues.
        if JOB not in project_app.tasks:
            project_app.add_tasks_from(_blueprint(), namespace="")
        self._queue = App(connector=DjangoConnector(alias=database.alias()))

    def enqueue(self, task_id: UUID) -> None:
        """Store a job, unless one is waiting. One job does all turns of its task."""
        job = self._queue.configure_task(JOB, queue=QUEUE, queueing_lock=task_id.hex)
        try:
            # A savepoint: if there is such a job, the error would break the caller's transaction.
            with database.atomic():
                job.defer(task_id=str(task_id))
        except AlreadyEnqueued:
            pass

    def first_job(self, task_id: UUID) -> Write:
        """Return the statement that stores a job for a new task, which cannot have one yet."""
        job = JobToDefer(
            queue_name=QUEUE,
            task_name=JOB,
            priority=DEFAULT_PRIORITY,
            lock=None,
            queueing_lock=task_id.hex,
            args=Jsonb({"task_id": str(task_id)}),  # type: ignore[arg-type]  # as connectors do
            scheduled_at=None,
        )
        return Write(_STORE_JOBS, [[job]])

    async def start(self, task_id: UUID, claim: object = None, owner: object = None) -> None:
        """Do nothing, since the job that was stored with the turn wakes a worker."""

    async def enqueue_again(self, task_id: UUID) -> None:
        """Store a job again, in case the first one is gone."""
        await database.run(self.enqueue, task_id)

    async def serve(self, stop: asyncio.Event) -> None:
        """Work on turns until `stop` is set, on at most MAX_RUNS at once.

        Raises:
            ImproperlyConfigured: The database has no queue.
        """
        if not await database.read(_has_queue):
            raise ImproperlyConfigured("The database has no queue yet: run `manage.py migrate`.")
        await self.begin()
        self.worker.sign_on()
        stopping = asyncio.create_task(stop.wait())
        while not stop.is_set():
            connector = WorkerConnector(conf.current().max_runs, lambda: self.worker.free_slots)
            working = asyncio.create_task(self._run_worker(connector))
            await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                await _leave_queue(working, connector)
            else:
                [failure] = await asyncio.gather(working, return_exceptions=True)
                logger.warning("The queue does not answer; it is tried again.", exc_info=failure)
                await asyncio.wait([stopping], timeout=RETRY_SECONDS)
        await self.end()

    async def _run_worker(self, connector: WorkerConnector) -> None:
        """Take jobs until cancelled or the database is away. Turns under way go on after that."""
        queue = App(connector=connector)
        queue.add_tasks_from(_blueprint(), namespace="")
        async with queue.open_async():
            await _delete_stalled_jobs(queue)
            logger.info("Worker %s takes turns from the queue.", self.worker.name)
            await queue.run_worker_async(
                queues=[QUEUE],
                name=self.worker.name,
                concurrency=conf.current().max_runs,
                fetch_job_polling_interval=POLL_SECONDS,
                delete_jobs=DeleteJobCondition.ALWAYS,
                install_signal_handlers=False,
                # The jobs only wait for their turns, which SHUTDOWN_SECONDS gives time to end.
                shutdown_graceful_timeout=0,
            )

    def check(self) -> list[str]:
        """List a database or an app that is missing."""
        if connections[database.alias()].vendor != "postgresql":
            return ["Procrastinate needs the tasks to be in PostgreSQL: use another runner."]
        if not apps.is_installed("procrastinate.contrib.django"):
            return ["INSTALLED_APPS lacks 'procrastinate.contrib.django', which has the queue."]
        return []


def _blueprint() -> Blueprint:
    blueprint = Blueprint()
    blueprint.task(name=JOB, queue=QUEUE)(work)
    return blueprint


def _has_queue() -> bool:
    return "procrastinate_jobs" in connections[database.alias()].introspection.table_names()


async def _leave_queue(working: "asyncio.Task[None]", connector: WorkerConnector) -> None:
    """End the queue's own worker, and do not wait for one whose connections are silent."""
    working.cancel()
    await asyncio.wait([working], timeout=LEAVE_SECONDS)
    if not working.done():
        connector.cut()
    # What it raises now is of no interest any more.
    working.add_done_callback(lambda left: left.cancelled() or left.exception())


async def _delete_stalled_jobs(queue: App) -> None:
    """Delete the jobs of workers that have died. The sweep finds their runs by the leases."""
    for job in await queue.job_manager.get_stalled_jobs(queue=QUEUE, task_name=JOB):
        await queue.job_manager.finish_job(job, Status.FAILED, delete_job=True)
