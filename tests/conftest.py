"""What all tests share: the runtime inside the test's process, and servers outside it."""

import errno
import gc
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

import pytest
from asgiref.sync import sync_to_async
from channels.layers import channel_layers
from django.core.cache import cache
from django.core.signals import setting_changed
from django.db import DEFAULT_DB_ALIAS, connections
from django.dispatch import receiver
from django.test import TransactionTestCase

from a2a_app import database as store_database
from a2a_app import runners
from a2a_app.concurrency.outages import Outage
from a2a_app.database import away
from tests import fast
from tests.clients.json_rpc import JsonRpcClient
from tests.servers import (
    Database,
    Layer,
    Process,
    copy_on_postgresql,
    copy_sqlite,
    fresh_database,
    web_server,
)
from tests.storages import FailingStorage

ChangeSettings = Callable[..., None]
Serve = Callable[..., Process]


def pytest_configure() -> None:
    """Let servers start as forks, which is three times as fast."""
    Process.forks = True
    # What is loaded stays: to look through it again and again takes as long as many tests.
    gc.disable()
    # To connect anew after each test takes as long as the test: no cursor of ours needs it.
    TransactionTestCase._should_reload_connections = lambda self: False  # type: ignore[attr-defined]  # as TestCase has it
    socket.socket.connect = connect_on_this_machine  # type: ignore[method-assign, assignment]  # see there


def connect_on_this_machine(self: socket.socket, address: Any) -> None:
    """Connect to this machine only: webhooks of the tests have public addresses.

    To others there is no way, as on a machine without a network.
    """
    is_ip = self.family in (socket.AF_INET, socket.AF_INET6)
    if is_ip and not ip_address(address[0].partition("%")[0]).is_loopback:
        raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
    super(socket.socket, self).connect(address)


# What the app's threads and their connections are made by, as of the last change.
OF_THREADS: dict[str, Any] = dict.fromkeys(("DATABASE_THREADS", "DATABASE_SECONDS"))


@receiver(setting_changed)
def end_threads_of_other_settings(setting: str, value: Any, **_: Any) -> None:
    """Let no test use threads that were made for other settings."""
    if setting == "A2A":
        given = value if isinstance(value, dict) else {}  # some tests try what is none
        now = {name: given.get(name) for name in OF_THREADS}
        if now != OF_THREADS:
            store_database.close()
            OF_THREADS.update(now)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make test-fast` leaves out, and begin with it.

    A process that gets a long file last is alone with it in the end.
    """
    fast.mark(items)
    items.sort(key=fast.rank)


def pytest_collection_finish() -> None:
    """Collect what the tests leave, and nothing of what was loaded before them."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def only_tests_that_are_marked_start_servers(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("This test starts a server in a way that tests/fast.py does not see.")

    if fast.MARK not in request.keywords:
        monkeypatch.setattr("tests.servers.Process.start", refuse)
        monkeypatch.setattr("project.services.start_postgresql", refuse)


@pytest.fixture(autouse=True)
def no_outage_of_another_test() -> None:
    """Let each test know as little of the database as a new process."""
    vars(store_database.outage).update(vars(Outage(away.logger, "The database")))


@pytest.fixture(scope="session")
def django_db_keepdb(django_db_modify_db_settings: None) -> bool:
    """Have the database of the tests be a copy that is there already, and goes with the folder."""
    ours = connections[DEFAULT_DB_ALIAS]
    name = str(ours.settings_dict["TEST"]["NAME"] or f"test_{ours.settings_dict['NAME']}")
    if ours.vendor == "sqlite":
        copy_sqlite(Path(name))
    else:
        copy_on_postgresql(name)
    return True


@pytest.fixture
async def runtime(transactional_db: None, settings: Any) -> AsyncIterator[None]:
    """Let a test use the app on its own event loop, with a database that every thread sees."""
    # The settings come first, so that they are still the test's here: they may name another runner,
    # and that of the test would go on, its heartbeat with a connection.
    yield
    await runners.current().close()
    # The threads and their connections serve the next test too, unless this one has left them work.
    if not store_database.is_idle():
        store_database.close()
    # What is in memory belongs to this test's event loop.
    channel_layers.backends.clear()


async def close_connections() -> None:
    """Close the connections of the app's threads, and of the one that Django has."""
    store_database.close()
    await sync_to_async(connections.close_all)()


@pytest.fixture
async def new_connections(runtime: None) -> AsyncIterator[None]:
    """Let a test that meddles with connections share none with other tests."""
    await close_connections()
    yield
    await close_connections()


@pytest.fixture
def reconnecting(runtime: None) -> Iterator[None]:
    """Let all threads connect again after a test that broke connections off or had no patience."""
    yield
    store_database.close()
    connections.close_all()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers of the reference project, each on a fresh database unless given one."""
    started: list[Process] = []
    with ExitStack() as stack:

        def start(
            database: Database = "sqlite",
            server: Literal["daphne", "uvicorn"] = "daphne",
            *,
            database_url: str = "",
            layer: Layer = "memory",
            settings_module: str = "tests.settings",
            **a2a: Any,
        ) -> Process:
            url = database_url or stack.enter_context(fresh_database(database))
            process = web_server(
                server,
                database_url=url,
                layer=layer,
                settings_module=settings_module,
                **a2a,
            )
            stack.callback(process.kill)
            started.append(process)
            process.start()
            return process

        yield start
        for process in started:
            # pytest shows it where the test has failed.
            sys.stdout.write(process.output()[-20_000:])


@pytest.fixture(autouse=True)
def nothing_cached() -> Iterator[None]:
    """Let no test see what another one has cached, such as figures or wrong passwords."""
    yield
    cache.clear()


@pytest.fixture
def a2a(settings: Any) -> ChangeSettings:
    """Set some of the app's settings for a test, before its first request."""

    def change(**values: Any) -> None:
        settings.A2A = {**settings.A2A, **values}

    return change


@pytest.fixture
async def rpc(runtime: None) -> AsyncIterator[JsonRpcClient]:
    """Speak JSON-RPC to the project inside the test's process."""
    yield JsonRpcClient()


@pytest.fixture
def empty_storages(settings: Any) -> None:
    """Store files in memory, where there are none yet; `failing` is a storage that fails."""
    failing = {"BACKEND": "tests.storages.FailingStorage"}
    settings.STORAGES = {**settings.STORAGES, "failing": failing}
    settings.A2A = {**settings.A2A, "STORAGE": "memory"}
    FailingStorage.saved = 0
