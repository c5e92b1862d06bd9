"""Queues that bring turns to workers: what is put into them, and what a set-up lacks."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from importlib.util import find_spec
from typing import Any
from uuid import UUID

import pytest
from celery import Celery, _state
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from procrastinate import PsycopgConnector, sql
from procrastinate.contrib.django import connector_params
from psycopg import AsyncConnection
from pytest_django import DjangoAssertNumQueries, Settings

from a2a_app import runners
from a2a_app.agents import Turn
from a2a_app.database.values import new_key
from a2a_app.protocol import TaskState
from a2a_app.runners.connector import WorkerConnector
from a2a_app.runners.embedded import EmbeddedRunner
from a2a_app.runners.loops import run_in_background
from a2a_app.runners.procrastinate import QUEUE
from a2a_app.store.refusals import AlreadySentError
from a2a_app.store.task_head import TaskHead, new_task_head
from a2a_app.store.updates import MessageKey, MessageReceived
from a2a_app.store.writes.append import append
from tests.clients.operations import client_of
from tests.tasks import SCOPE, begin, new_message

pytestmark = pytest.mark.usefixtures("runtime")

# Django has it since 6.0.
BACKENDS = "django.tasks.backends" if find_spec("django.tasks") else "django_tasks.backends"
IMMEDIATE = {"default": {"BACKEND": f"{BACKENDS}.immediate.ImmediateBackend"}}
ON_POSTGRESQL = connection.vendor == "postgresql"
# What Procrastinate takes a job with.
TAKE: dict[str, Any] = {"queues": [QUEUE], "worker_id": None}
LAST_STATEMENTS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND state = 'idle' AND query LIKE %s
"""


def use(settings: Settings, runner: str) -> runners.Runner:
    settings.A2A = {**settings.A2A, "RUNNER": runner}
    return runners.current()


def jobs(*task_ids: UUID) -> int:
    """Count the jobs of these tasks: Django does not empty a table that is not its own."""
    with connection.cursor() as cursor:
        locks = [task_id.hex for task_id in task_ids]
        cursor.execute(
            "SELECT COUNT(*) FROM procrastinate_jobs WHERE queueing_lock = ANY(%s)", [locks]
        )
        return int(cursor.fetchone()[0])


async def taken(worker: AsyncConnection) -> Any:
    """Have Procrastinate take a job, and return its id if there is one."""
    [key, *_] = await one_row(worker, sql.queries["fetch_job"], TAKE)
    return key


@asynccontextmanager
async def worker_connector() -> AsyncIterator[PsycopgConnector]:
    """Open the connections of a worker to its queue."""
    connector = WorkerConnector(1, lambda: 1)
    await connector.open_async()
    try:
        yield connector
    finally:
        await connector.close_async()


async def idle_connections(connector: PsycopgConnector) -> list[int]:
    """Return the processes of PostgreSQL that serve all connections of a worker's pool."""
    async with AsyncExitStack() as stack:
        pool = connector.pool
        each = [await stack.enter_async_context(pool.connection()) for _ in range(pool.min_size)]
        return [connection.info.backend_pid for connection in each]


def new_head() -> TaskHead:
    """Return the head of a task that is not stored yet, and begins its context."""
    return new_task_head(agent=SCOPE.agent, owner=SCOPE.owner, context_id=str(new_key()))


def queue_of(runner: runners.Runner, head: TaskHead) -> dict[str, Any]:
    """Return what has a runner enqueue the turn that is about to be stored."""
    return {"enqueue": runner.enqueue, "first_job": runner.first_job(head.task_id)}


async def rows_read(worker: AsyncConnection) -> int:
    """Count the rows of the queue that were read so far, those of this connection included."""
    async with worker.transaction():
        await worker.execute("SELECT pg_stat_force_next_flush()")
    [read] = await one_row(
        worker,
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables"
        " WHERE relname = 'procrastinate_jobs'",
    )
    return int(read)


async def one_row(worker: AsyncConnection, query: Any, given: Any = ()) -> Any:
    return await (await worker.execute(query, given)).fetchone()


def test_the_runner_is_chosen_by_name_or_by_path(settings: Settings) -> None:
    for name in ("embedded", "a2a_app.runners.embedded.EmbeddedRunner"):
        settings.A2A = {"RUNNER": name}
        assert isinstance(runners.current(), EmbeddedRunner)


def test_procrastinate_is_for_postgresql_and_says_so_elsewhere(settings: Settings) -> None:
    complaints = use(settings, "procrastinate").check()
    assert len(complaints) == (0 if ON_POSTGRESQL else 1)
    assert all("PostgreSQL" in text for text in complaints)


def test_procrastinate_needs_its_app(settings: Settings) -> None:
    runner = use(settings, "procrastinate")
    settings.INSTALLED_APPS = [each for each in settings.INSTALLED_APPS if "procrast" not in each]
    assert len(runner.check()) == 1


if not ON_POSTGRESQL:  # Procrastinate has no tables there

    def test_a_worker_without_a_queue_says_so_and_ends(settings: Settings) -> None:
        use(settings, "procrastinate")
        with pytest.raises(CommandError, match="migrate"):
            call_command("a2a_worker", skip_checks=True)


if ON_POSTGRESQL:  # Procrastinate has no tables elsewhere

    def test_a_job_is_stored_with_its_turn_or_not_at_all(settings: Settings) -> None:
        runner = use(settings, "procrastinate")
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            undone = begin(enqueue=runner.enqueue).head.task_id
            assert jobs(undone) == 1
            raise ZeroDivisionError
        done = begin(enqueue=runner.enqueue).head.task_id
        assert (jobs(undone), jobs(done)) == (0, 1)

    def test_a_task_has_one_waiting_job_however_often_it_is_enqueued(settings: Settings) -> None:
        runner = use(settings, "procrastinate")
        task_id, other = begin(enqueue=runner.enqueue).head.task_id, begin().head.task_id
        with transaction.atomic():
            runner.enqueue(task_id)
            runner.enqueue(other)
        assert (jobs(task_id), jobs(other)) == (1, 1)

    def test_the_job_of_a_new_task_is_stored_by_the_statement_that_stores_the_task(
        settings: Settings, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        runner = use(settings, "procrastinate")
        head = new_head()
        with django_assert_num_queries(1):
            append(head, [MessageReceived(new_message())], **queue_of(runner, head))
        assert jobs(head.task_id) == 1

    def test_a_new_task_that_is_not_stored_leaves_no_job(settings: Settings) -> None:
        runner = use(settings, "procrastinate")
        received = MessageReceived(new_message(), key=MessageKey("a key", "a digest"))
        first, second = new_head(), new_head()
        append(first, [received], **queue_of(runner, first))
        with pytest.raises(AlreadySentError):
            append(second, [received], **queue_of(runner, second))
        assert (jobs(first.task_id), jobs(second.task_id)) == (1, 0)

    def test_a_later_turn_of_a_task_whose_job_still_waits_is_stored(settings: Settings) -> None:
        runner = use(settings, "procrastinate")
        head = new_head()
        for turn in (1, 2):
            received = MessageReceived(new_message())
            head = append(head, [received], **queue_of(runner, head)).head
            assert (head.turn, jobs(head.task_id)) == (turn, 1)

    async def test_a_worker_takes_a_job_in_one_round_trip() -> None:
        async with worker_connector() as connector:
            await connector.execute_query_one_async(sql.queries["fetch_job"], **TAKE)
            async with connector.pool.connection() as worker:
                # PostgreSQL knows each connection's last statement. It would be a COMMIT.
                assert await one_row(worker, LAST_STATEMENTS, ["%fetch_job%"]) == (1,)

    async def test_a_worker_replaces_a_connection_that_has_died_while_it_was_idle() -> None:
        async with worker_connector() as connector:
            dead, *others = await idle_connections(connector)
            async with await AsyncConnection.connect(**connector_params()) as other:
                terminate = "SELECT pg_terminate_backend(%s, 5000)"
                assert await one_row(other, terminate, [dead]) == (True,)
            for _ in (dead, *others):  # the pool lends them in turn
                await connector.execute_query_one_async(sql.queries["fetch_job"], **TAKE)
            assert dead not in await idle_connections(connector)

    async def test_a_worker_that_knew_an_empty_queue_takes_a_job_without_comparing_all() -> None:
        waiting = 500
        async with worker_connector() as connector, connector.pool.connection() as worker:
            await worker.execute("TRUNCATE procrastinate_jobs CASCADE")
            await worker.execute("VACUUM ANALYZE procrastinate_jobs")
            # As often as PostgreSQL makes a new plan before it keeps one.
            for _ in range(6):
                assert await taken(worker) is None
            await worker.execute(
                "INSERT INTO procrastinate_jobs (task_name, queue_name, args)"
                f" SELECT 'any', '{QUEUE}', '{{}}' FROM generate_series(1, {waiting})"
            )
            before = await rows_read(worker)
            assert await taken(worker) is not None
            after = await rows_read(worker)
            await worker.execute("TRUNCATE procrastinate_jobs CASCADE")
        assert after - before < 10 * waiting


async def test_the_immediate_backend_answers_within_the_send(settings: Settings) -> None:
    settings.TASKS = IMMEDIATE
    runner = use(settings, "tasks")

    async def agent(turn: Turn) -> str:
        await asyncio.sleep(0)
        return turn.text

    with client_of(agent) as client:
        task = await client.send("in the end it is a thread", return_immediately=True)
    await asyncio.to_thread(run_in_background, runner.close(), runner.close)
    assert task.status.state is TaskState.COMPLETED


@pytest.mark.parametrize("backend", ["immediate.ImmediateBackend", "dummy.DummyBackend"])
def test_a_backend_without_workers_is_refused_outside_tests(
    settings: Settings, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TASKS = {"default": {"BACKEND": f"{BACKENDS}.{backend}"}}
    runner = use(settings, "tasks")
    assert runner.check() == []
    monkeypatch.delattr(mail, "outbox")
    assert len(runner.check()) == 1
    settings.TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
    assert runner.check() == []


@contextmanager
def app_of_celery(broker: str) -> Iterator[Celery]:
    """Make a project's app of Celery."""
    app = Celery("site", broker=broker)
    app.set_default()
    try:
        yield app
    finally:
        app.close()
        _state.set_default_app(None)
        _state._set_current_app(None)


@pytest.mark.slow
async def test_a_turn_is_stored_though_celerys_broker_takes_no_job(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    runner = use(settings, "celery")
    with (
        app_of_celery("redis://127.0.0.1:1/0") as celery,
        client_of(lambda turn: turn.text) as client,
    ):
        task = await client.send("hello", return_immediately=True)
        assert f"Task {task.id} was not enqueued." in caplog.text
        assert task.status.state is TaskState.SUBMITTED
        celery.conf.task_always_eager = True
        await runner.enqueue_again(UUID(task.id))
        assert (await client.get(task.id)).status.state is TaskState.COMPLETED
    await asyncio.to_thread(run_in_background, runner.close(), runner.close)


@pytest.mark.slow
async def test_nobody_waits_for_a_broker_of_celery_that_is_silent(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = use(settings, "celery")
    monkeypatch.setattr("a2a_app.runners.celery.ENQUEUE_SECONDS", 0.2)
    # The system accepts connections for it.
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        app_of_celery(f"redis://127.0.0.1:{silent.getsockname()[1]}/0"),
        pytest.raises(TimeoutError),
    ):
        await runner.enqueue_again(new_key())


@pytest.mark.parametrize(
    ("option", "value"), [("task_always_eager", True), ("broker_url", "memory://")]
)
def test_an_app_of_celery_without_workers_is_refused_outside_tests(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, option: str, value: object
) -> None:
    runner = use(settings, "celery")
    with app_of_celery("redis://127.0.0.1:1/0") as celery:
        setattr(celery.conf, option, value)
        assert runner.check() == []
        monkeypatch.delattr(mail, "outbox")
        assert len(runner.check()) == 1
        setattr(celery.conf, option, None)
        assert runner.check() == []


def test_a_project_without_an_app_of_celery_is_told_so(settings: Settings) -> None:
    [missing] = use(settings, "celery").check()
    assert "__init__.py" in missing


@pytest.mark.parametrize(
    ("runner", "instead"), [("celery", "celery"), ("embedded", "RUNNER"), ("tasks", "db_worker")]
)
def test_a_runner_without_a_worker_of_its_own_says_what_to_do(
    settings: Settings, runner: str, instead: str
) -> None:
    use(settings, runner)
    with pytest.raises(CommandError, match=instead):
        call_command("a2a_worker")
