"""Sessions that are shared: the app works there, and leaves them to others as they were."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import dj_database_url
import psycopg
import pytest
from asgiref.sync import sync_to_async
from channels.layers import channel_layers
from django.core import checks
from django.core.management import CommandError, call_command
from django.db import connections, transaction
from pytest_django import DjangoDbBlocker, Settings

from a2a_app import database, runners
from a2a_app.runners.connector import WorkerConnector
from tests.clients.json_rpc import JsonRpcClient
from tests.layers.sessions import cut_off
from tests.pooler import Mode, Pooler
from tests.servers import fresh_database
from tests.wire import state

Use = Callable[..., str]
LAYER = "a2a_app.layers.PostgreSQLChannelLayer"
LIMIT = "SELECT current_setting('idle_in_transaction_session_timeout')"
SORTS = "SELECT current_setting('enable_sort')"
WAITS = "SELECT current_setting('synchronous_commit')"
LEVEL = "SELECT current_setting('transaction_isolation')"
# As the project sets it, and as the server's default would be.
LEVELS = [
    ("repeatable read", {"isolation_level": psycopg.IsolationLevel.REPEATABLE_READ}),
    ("serializable", {"isolation_level": psycopg.IsolationLevel.SERIALIZABLE}),
    ("serializable", {"options": "-c default_transaction_isolation=serializable"}),
]


class Router:
    """Sends all models to one database."""

    alias = "default"

    def db_for_read(self, model: type, **hints: object) -> str:
        """Return its alias."""
        return self.alias

    db_for_write = db_for_read


@pytest.fixture
def postgresql() -> Iterator[str]:
    """Make a database with all tables, and return its URL."""
    with fresh_database("postgresql") as url:
        yield url


@pytest.fixture
async def use(
    settings: Settings, runtime: None, django_db_blocker: DjangoDbBlocker
) -> AsyncIterator[Use]:
    """Let the app use the database of a DATABASE_URL, with these OPTIONS; return its alias."""
    added: list[str] = []

    def use_url(url: str, **options: Any) -> str:
        parsed = {"default": {**dj_database_url.parse(url), "OPTIONS": options}}
        connections.settings[url] = connections.configure_settings(parsed)["default"]
        added.append(url)
        Router.alias = url
        settings.DATABASE_ROUTERS = [Router()]
        return url

    with django_db_blocker.unblock():
        yield use_url
        await leave()
    for alias in added:
        del connections.settings[alias]


async def leave() -> None:
    """End what the app does, and all of its connections, and let it use the tests' own database."""
    await runners.current().close()
    database.close()
    await channel_layers["default"].flush()
    await sync_to_async(connections.close_all)()
    Router.alias = "default"


def ask(*questions: str) -> list[str]:
    """Ask the app's connection."""
    with database.connection().cursor() as cursor:
        answers = []
        for question in questions:
            cursor.execute(question)
            answers += cursor.fetchone()
        return answers


def ask_in_a_transaction(*questions: str) -> list[str]:
    """Ask in a transaction of the app's, within another one of the app's."""
    with database.atomic(), database.atomic():
        return ask(*questions)


async def test_a_limit_on_idleness_ends_with_its_transaction(use: Use, postgresql: str) -> None:
    use(postgresql)
    for _ in range(2):
        assert await database.run(ask_in_a_transaction, LIMIT, LEVEL) == ["15s", "read committed"]
        assert await database.run(ask, LIMIT) == ["0"]


async def test_a_transaction_of_the_project_keeps_its_own_limit(use: Use, postgresql: str) -> None:
    alias = use(postgresql)

    def ask_within_the_projects() -> list[str]:
        with transaction.atomic(using=alias):
            return ask_in_a_transaction(LIMIT)

    assert await database.run(ask_within_the_projects) == ["0"]


@pytest.mark.parametrize("pool", [False, {"min_size": 1, "max_size": 2}])
@pytest.mark.parametrize(("level", "options"), LEVELS)
async def test_a_transaction_of_the_app_sees_what_others_commit_whatever_the_level_is(
    use: Use, postgresql: str, level: str, options: dict[str, Any], pool: Any
) -> None:
    alias = use(postgresql, pool=pool, **options)

    def ask_as_the_project() -> list[str]:
        with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
            cursor.execute(LEVEL)
            return list(cursor.fetchone())

    assert await database.run(ask_in_a_transaction, LIMIT, LEVEL) == ["15s", "read committed"]
    assert await sync_to_async(ask_as_the_project)() == [level]
    # As in the admin, whose thread is Django's own.
    assert await sync_to_async(ask_in_a_transaction)(LEVEL) == ["read committed"]


async def test_a_connection_that_broke_off_is_replaced_where_a_transaction_begins(
    use: Use, postgresql: str, a2a: Callable[..., None]
) -> None:
    a2a(DATABASE_THREADS=1)
    use(postgresql)
    await database.run(ask, LIMIT)
    assert cut_off(postgresql) == 1
    assert await database.run(ask_in_a_transaction, LIMIT) == ["15s"]


async def work(rpc: JsonRpcClient) -> None:
    """Do several tasks at a time, and what needs transactions besides."""
    for _ in range(2):
        tasks = await asyncio.gather(*[rpc.task(chunks=3) for _ in range(6)])
        assert {state({"task": task}) for task in tasks} == {"COMPLETED"}
        limits = await asyncio.gather(*[database.run(ask_in_a_transaction, LIMIT) for _ in tasks])
        assert limits == [["15s"]] * len(tasks)


@pytest.mark.parametrize("mode", ["session", "transaction"])
async def test_through_a_pooler_the_app_works_and_changes_no_session(
    use: Use, postgresql: str, settings: Settings, rpc: JsonRpcClient, mode: Mode
) -> None:
    prepared = {"prepare_threshold": 5} if mode == "session" else {}
    with Pooler(postgresql, mode, reset="UNLISTEN *; DEALLOCATE ALL") as pooler:
        direct = use(postgresql)
        alias = use(pooler.url, server_side_binding=True, **prepared)
        config = {"database": alias if mode == "session" else direct}
        settings.CHANNEL_LAYERS = {"default": {"BACKEND": LAYER, "CONFIG": config}}
        await work(rpc)
        await leave()
        assert set(pooler.changes()) == {""}


async def test_a_pool_of_djangos_gets_its_connections_back_as_they_were(
    use: Use, postgresql: str, rpc: JsonRpcClient
) -> None:
    alias = use(postgresql, pool={"min_size": 2, "max_size": 2})
    pool: Any = connections[alias].pool  # type: ignore[attr-defined]  # PostgreSQL's has one

    def change_all() -> None:
        pool.open()
        with pool.connection() as one, pool.connection() as other:
            for each in (one, other):
                each.execute("SET idle_in_transaction_session_timeout = '7s'")

    await sync_to_async(change_all)()
    await work(rpc)
    assert [await database.run(ask, LIMIT) for _ in range(4)] == [["7s"]] * 4
    await leave()
    pool.close()


@pytest.mark.parametrize("mode", ["session", "transaction"])
async def test_a_worker_configures_only_sessions_of_its_own(
    use: Use, postgresql: str, mode: Mode
) -> None:
    async def configured() -> list[Any]:
        connector = WorkerConnector(1, lambda: 1)
        await connector.open_async()
        async with connector.pool.connection() as connection:
            answers = [await connection.execute(each) for each in (SORTS, WAITS)]
            found = [await answer.fetchone() for answer in answers]
        await connector.close_async()
        return found

    use(postgresql)
    assert await configured() == [("off",), ("off",)]
    with Pooler(postgresql, mode, reset="UNLISTEN *") as pooler:
        use(pooler.url)
        assert await configured() == [("on",), ("on",)]
        assert set(pooler.changes()) == {""}


async def test_a_worker_refuses_a_pooler_that_shares_its_session(use: Use, postgresql: str) -> None:
    with Pooler(postgresql, "transaction") as pooler:
        use(pooler.url)
        with pytest.raises(CommandError, match=r"direct connection: .* PgBouncer in transaction"):
            await sync_to_async(call_command)("a2a_worker", skip_checks=True)


@pytest.mark.parametrize(
    ("mode", "is_fit", "findings"),
    [
        ("transaction", False, {"a2a.E010", "a2a.W015", "a2a.W016"}),
        ("transaction", True, {"a2a.E010"}),
        ("session", False, set()),
        ("", False, set()),
    ],
)
async def test_what_a_pooler_cannot_do_is_found_by_checks(
    use: Use, postgresql: str, settings: Settings, mode: Any, is_fit: bool, findings: set[str]
) -> None:
    with Pooler(postgresql, mode) as pooler:
        options = {} if is_fit else {"prepare_threshold": 5}
        alias = use(pooler.url if mode else postgresql, **options)
        connections.settings[alias]["DISABLE_SERVER_SIDE_CURSORS"] = is_fit
        layer = {"BACKEND": LAYER, "CONFIG": {"database": alias}}
        settings.CHANNEL_LAYERS = {"default": layer}
        found = await sync_to_async(checks.run_checks)(tags=["a2a"], databases=[alias])
        assert {finding.id for finding in found} == findings
        await leave()


@pytest.mark.parametrize("limits", [{}, {"connect_timeout": 5, "tcp_user_timeout": 10_000}])
async def test_connections_of_the_project_without_limits_are_found_by_the_deployment_checks(
    use: Use, postgresql: str, limits: dict[str, int]
) -> None:
    alias = use(postgresql, **limits)
    found = await sync_to_async(checks.run_checks)(
        tags=["a2a"], include_deployment_checks=True, databases=[alias]
    )
    assert ("a2a.W017" in {finding.id for finding in found}) is not bool(limits)
