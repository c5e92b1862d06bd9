"""The Procrastinate runner: PostgreSQL is the queue, and workers elsewhere run many turns at once.

A job is a hint that a task has a turn to do, stored in the turn's own transaction. What the job's
row says of its end says nothing of the task: a worker that dies leaves a lease to run out.
"""

import asyncio
import logging
from uuid import UUID

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from procrastinate import App, Blueprint, PsycopgConnector
from procrastinate.contrib.django import app as project_app
from procrastinate.contrib.django import connector_params
from procrastinate.contrib.django.django_connector import DjangoConnector
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.jobs import DeleteJobCondition, Status
from psycopg import AsyncConnection

from a2a_app import conf, database
from a2a_app.runners.queued import QueuedRunner, work

logger = logging.getLogger(__name__)

QUEUE = "a2a"
JOB = "a2a_app.answer"
# How long a worker waits before it connects again, once the queue's database has gone away.
RETRY_SECONDS = 1.0
# How often a worker with places looks for jobs unasked. It hears of new ones, but not of those that
# come between its first look and the moment from which it listens.
POLL_SECONDS = 1.0


class ProcrastinateRunner(QueuedRunner):
    """Orders are jobs of Procrastinate's, in the database that has the tasks."""

    def __init__(self) -> None:
        super().__init__()
        # The project's own workers may take our jobs too, if they serve all queues.
        if JOB not in project_app.tasks:
            project_app.add_tasks_from(_blueprint(), namespace="")
        self._queue = App(connector=DjangoConnector(alias=database.alias()))

    def enqueue(self, task_id: UUID) -> None:
        """Store a job, unless one is waiting: a worker that takes it does all of a task's turns."""
        job = self._queue.configure_task(JOB, queue=QUEUE, queueing_lock=task_id.hex)
        try:
            # A transaction within the caller's: a lock that is taken would spoil that one.
            with database.atomic():
                job.defer(task_id=str(task_id))
        except AlreadyEnqueued:
            pass

    async def start(self, task_id: UUID, claim: object = None) -> None:
        """Do nothing: the job was stored with the turn, and wakes a worker itself."""

    async def enqueue_again(self, task_id: UUID) -> None:
        """Store a job again, should the first be gone."""
        await database.run(self.enqueue, task_id)

    async def serve(self, stop: asyncio.Event) -> None:
        """Work on turns until `stop` is set, as many at once as MAX_RUNS allows.

        Raises ImproperlyConfigured where the database has no queue.
        """
        if not await database.run(_has_queue):
            raise ImproperlyConfigured("The database has no queue yet: run `manage.py migrate`.")
        await self.begin()
        stopping = asyncio.create_task(stop.wait())
        while not stop.is_set():
            working = asyncio.create_task(self._work_off())
            await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
            working.cancel()
            [failure] = await asyncio.gather(working, return_exceptions=True)
            if not stop.is_set():
                logger.warning("The queue does not answer; it is tried again.", exc_info=failure)
                await asyncio.wait([stopping], timeout=RETRY_SECONDS)
        await self.close()

    async def _work_off(self) -> None:
        """Take jobs until cancelled, or until the database goes away. Turns go on after either."""
        queue = App(connector=connector_of_worker())
        queue.add_tasks_from(_blueprint(), namespace="")
        async with queue.open_async():
            await _forget_stalled(queue)
            logger.info("Worker %s takes turns from the queue.", self.worker.name)
            await queue.run_worker_async(
                queues=[QUEUE],
                name=self.worker.name,
                concurrency=conf.current().max_runs,
                fetch_job_polling_interval=POLL_SECONDS,
                delete_jobs=DeleteJobCondition.ALWAYS,
                install_signal_handlers=False,
                # The jobs only wait for their turns, which get their own time to end.
                shutdown_graceful_timeout=0,
            )

    def check(self) -> list[str]:
        """Find a database or an app that is missing."""
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


def connector_of_worker() -> PsycopgConnector:
    """Make what connects a worker to the queue."""
    return PsycopgConnector(kwargs=connector_params(database.alias()), configure=_configure)


async def _configure(connection: AsyncConnection) -> None:
    async with connection.transaction():
        # A worker that is frozen while it takes a job keeps others from storing one for the task.
        await connection.execute(database.idle_limit())
        # How a job is taken is planned while the queue is empty, where it is as well to sort as to
        # use the index, and that plan stays: of thousands of jobs each would be compared with all.
        await connection.execute("SET enable_sort = off")


async def _forget_stalled(queue: App) -> None:
    """Drop the jobs of workers that have died: their turns are found by their leases."""
    for job in await queue.job_manager.get_stalled_jobs(queue=QUEUE, task_name=JOB):
        await queue.job_manager.finish_job(job, Status.FAILED, delete_job=True)
