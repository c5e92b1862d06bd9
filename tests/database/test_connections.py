"""Connections that died, or that lead to the wrong server: what a unit of work notices of them."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import nullcontext
from threading import Barrier
from typing import Any
from uuid import UUID

import dj_database_url
import psycopg
import pytest
from django.db import connections

from a2a_app import database, models
from a2a_app.database import bridge, transactions
from a2a_app.database.away import Cause
from tests.proxy import Proxy
from tests.servers import fresh_database
from tests.tasks import begin

TERMINATE = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
WAITING = (
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)
SECONDS = 20
READ_ONLY = "SET default_transaction_read_only = on"


class Site:
    """A database on PostgreSQL that our threads reach through a proxy."""

    def __init__(self, proxy: Proxy, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.proxy = proxy
        self.url = url
        self._monkeypatch = monkeypatch

    def use(self, **options: Any) -> None:
        """Have new threads connect with these options of DATABASES."""
        database.close()
        configured = {"default": {**dj_database_url.parse(self.proxy.url), **options}}
        completed = connections.configure_settings(configured)
        self._monkeypatch.setitem(connections.settings, "default", completed["default"])

    def execute(self, statement: str) -> None:
        """Run a statement as somebody else does."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)

    def set_default(self, name: str, value: str) -> None:
        """Set the database's default of a setting, for sessions that begin from now on."""
        self.execute(f"ALTER DATABASE {self.url.rpartition('/')[2]} SET {name} = '{value}'")

    def wait_for_a_lock(self) -> None:
        """Return once a statement waits for a row that another transaction has changed."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            for _ in range(SECONDS * 100):
                if connection.execute(WAITING).fetchall():
                    return
                connection.execute("SELECT pg_sleep(0.01)")
        raise TimeoutError


@pytest.fixture
def site(runtime: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with fresh_database("postgresql") as url, Proxy(url) as proxy:
        made = Site(proxy, url, monkeypatch)
        made.use()
        yield made
        database.close()


@pytest.fixture(autouse=True)
def trusted_while_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no connection count as idle, so that only what a test is about finds it dead."""
    monkeypatch.setattr(bridge, "IDLE_SECONDS", 1000.0)
    monkeypatch.setattr(bridge, "PAUSE_SECONDS", 0.0)


def two_tasks() -> list[UUID]:
    return [begin().head.task_id for _ in range(2)]


def session() -> int:
    with database.connection().cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def count() -> int:
    return models.Task.objects.count()


def write_nothing() -> None:
    models.Task.objects.filter(seq=0).update(seq=0)


def give_way() -> None:
    with database.connection().cursor() as cursor:
        cursor.execute("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$")


class Work:
    """A unit of work that counts how often it is done."""

    def __init__(self, *steps: Any, in_transaction: bool = False) -> None:
        self.steps = steps
        self.in_transaction = in_transaction
        self.times = 0

    def __call__(self) -> None:
        self.times += 1
        if self.in_transaction:
            with database.atomic():
                self._do()
        else:
            self._do()

    def _do(self) -> None:
        for step in self.steps:
            step()


async def test_a_session_that_the_server_has_ended_costs_nobody_anything(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    first = await database.run(session)
    site.execute(TERMINATE)
    site.proxy.wait_until_cut()
    work = Work(begin)
    await database.run(work)
    assert await database.run(session) != first
    assert work.times == await database.run(count) == 1
    assert caplog.messages == []


async def test_a_connection_that_was_idle_is_looked_at_before_it_is_used(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database.run(count)
    site.proxy.forget()
    monkeypatch.setattr(bridge, "IDLE_SECONDS", 0.0)
    work = Work(begin)
    await database.run(work)
    assert work.times == await database.run(count) == 1
    assert caplog.messages == []


async def test_a_connection_is_looked_at_by_one_round_trip_and_only_if_it_was_idle(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database.run(session)
    before = site.proxy.heard
    for _ in range(10):
        await database.run(session)
    assert site.proxy.heard == before + 10
    monkeypatch.setattr(bridge, "IDLE_SECONDS", 0.0)
    await database.run(session)
    assert site.proxy.heard == before + 12
    assert site.proxy.opened == 1


@pytest.mark.parametrize(
    "work",
    [Work(count), Work(begin, in_transaction=True), Work(count, begin)],
    ids=["a read", "a transaction", "a read that comes before a write"],
)
async def test_work_that_breaks_at_its_first_statement_is_done_again_on_a_new_connection(
    site: Site, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    await database.run(session)
    site.proxy.forget()
    await database.run(work)
    assert work.times == 2
    assert await database.run(count) == work.steps.count(begin)
    assert caplog.messages == []


async def test_a_write_that_may_have_been_committed_is_not_done_again(site: Site) -> None:
    await database.run(session)
    site.proxy.keep_answers()
    work = Work(write_nothing)
    with pytest.raises(database.AwayError):
        await database.run(work)
    assert work.times == 1


async def test_a_commit_whose_answer_was_lost_is_not_done_again(site: Site) -> None:
    def lose_answers() -> None:
        site.proxy.keep_answers()

    await database.run(session)
    work = Work(begin, lose_answers, in_transaction=True)
    with pytest.raises(database.AwayError):
        await database.run(work)
    assert work.times == 1
    assert await database.run(count) == 1


async def test_work_that_breaks_on_a_new_connection_too_is_not_done_a_third_time(
    site: Site,
) -> None:
    await database.run(session)
    work = Work(count, site.proxy.forget, count)
    with pytest.raises(database.AwayError):
        await database.run(work)
    assert work.times == 2


async def test_a_connection_to_a_server_that_was_demoted_is_replaced(
    site: Site, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    first = await database.run(session)
    await database.run(lambda: database.connection().cursor().execute(READ_ONLY))
    work = Work(begin)
    await database.run(work)
    assert await database.run(session) != first
    # Once to be refused.
    assert (work.times, await database.run(count)) == (2, 1)
    assert caplog.messages == []


async def test_a_connection_that_is_older_than_conn_max_age_is_replaced(site: Site) -> None:
    for kept in (None, 0, 3600):
        site.use(CONN_MAX_AGE=kept)
        assert await database.run(session) == await database.run(session)
    site.use(CONN_MAX_AGE=1e-9)
    assert await database.run(session) != await database.run(session)


async def test_a_pool_does_not_hand_out_a_demoted_server_again(site: Site) -> None:
    site.use(OPTIONS={"pool": {"min_size": 1, "max_size": 1}})
    first = await database.run(session)
    await database.run(lambda: database.connection().cursor().execute(READ_ONLY))
    await database.run(begin)
    assert await database.run(session) != first


async def test_an_outage_of_writes_ends_with_a_write_and_not_with_a_read(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "a2a_app")
    name = site.url.rpartition("/")[2]
    site.set_default("default_transaction_read_only", "on")
    for _ in range(3):
        with pytest.raises(database.AwayError):
            await database.run(begin)
        await database.run(count)
    site.execute(f"SET transaction_read_only = off; ALTER DATABASE {name} RESET ALL")
    await database.run(begin)
    [begun, ended] = caplog.messages
    assert begun.startswith("The database does not answer: cannot execute ")
    assert ended == "The database answers again."


async def test_of_two_that_wait_for_each_other_one_gives_way_and_is_done_again(site: Site) -> None:
    both = await database.run(two_tasks)
    tries: list[list[UUID]] = []
    have_begun = Barrier(2)

    def change(tasks: list[UUID]) -> None:
        tries.append(tasks)
        with database.atomic():
            for number, task in enumerate(tasks):
                models.Task.objects.filter(pk=task).update(pushed=True)
                if not number and len(tries) <= 2:
                    have_begun.wait(10)

    await asyncio.gather(*[database.run(change, tasks) for tasks in (both, both[::-1])])
    assert len(tries) == 3


@pytest.mark.parametrize("have_committed", [False, True])
async def test_a_statement_that_has_to_give_way_on_its_own_is_done_again(
    site: Site, have_committed: bool
) -> None:
    site.set_default("default_transaction_isolation", "repeatable read")
    site.use()
    [task, _] = await database.run(two_tasks)
    change = models.Task.objects.filter(pk=task).update
    work = Work(*[write_nothing] * have_committed, lambda: change(pushed=True))
    with psycopg.connect(site.url) as other:
        other.execute("UPDATE a2a_app_task SET pushed = false WHERE id = %s", [task])
        doing = asyncio.create_task(database.run(work))
        await asyncio.to_thread(site.wait_for_a_lock)
        other.commit()
        await doing
    assert (await database.run(models.Task.objects.get, pk=task)).pushed
    # What is committed is not done again.
    assert work.times == (1 if have_committed else 2)


@pytest.mark.parametrize("is_transaction", [False, True])
async def test_work_that_has_committed_is_not_done_again_after_a_conflict(
    site: Site, is_transaction: bool
) -> None:
    tries: list[int] = []

    def work() -> None:
        tries.append(1)
        with database.atomic() if is_transaction else nullcontext():
            write_nothing()
        with database.atomic():
            give_way()

    with pytest.raises(database.AwayError) as raised:
        await database.run(work)
    assert raised.value.cause is Cause.CONFLICT
    assert len(tries) == 1


@pytest.mark.parametrize("have_committed", [False, True])
async def test_what_gives_way_each_time_pauses_for_longer_each_time_and_then_fails(
    site: Site, have_committed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(transactions, "sleep", pauses.append)
    monkeypatch.setattr(transactions, "uniform", lambda least, most: most)
    work = Work(*[write_nothing] * have_committed, give_way)
    with pytest.raises(database.AwayError) as raised:
        await database.run(work)
    assert raised.value.cause is Cause.CONFLICT
    assert pauses == [0.01, 0.02, 0.04, 0.08]
    assert work.times == (1 if have_committed else 5)
