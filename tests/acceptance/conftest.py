"""What the tests with real processes share: servers, databases, and the official client."""

from collections.abc import Iterator
from functools import partial
from itertools import product

import pytest

from tests.clients.sdk import Connect, connected
from tests.servers import Process, fresh_database, served

# Each server and each database once: neither knows of the other.
SERVERS = [("sqlite", "uvicorn"), ("postgresql", "daphne")]
BINDINGS = ("JSONRPC", "HTTP+JSON")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Test on servers of all kinds, and with the official client each binding; gRPC on one."""
    if "connect" in metafunc.fixturenames:
        ways = [*product(SERVERS, BINDINGS), (("postgresql", "daphne", "grpc"), "GRPC")]
        ids = ["-".join((*server, binding)) for server, binding in ways]
        names = ("server", "binding")
        metafunc.parametrize(names, ways, ids=ids, indirect=["server"], scope="package")
    elif "server" in metafunc.fixturenames and not _has_servers_of_its_own(metafunc):
        ids = ["-".join(server) for server in SERVERS]
        metafunc.parametrize("server", SERVERS, ids=ids, indirect=True, scope="package")


def _has_servers_of_its_own(metafunc: pytest.Metafunc) -> bool:
    marks = metafunc.definition.iter_markers("parametrize")
    return hasattr(metafunc.module, "server") or any("server" in mark.args[0] for mark in marks)


# One server of each kind for all tests of the folder: starting them is what takes the time.
@pytest.fixture(scope="package")
def server(request: pytest.FixtureRequest) -> Iterator[Process]:
    database, kind, *more = request.param
    with served(database, kind, grpc=bool(more)) as process:
        yield process


@pytest.fixture
def url(server: Process, request: pytest.FixtureRequest) -> Iterator[str]:
    before = len(server.output())
    yield server.url
    request.node.add_report_section("call", server.url, server.output()[before:])


@pytest.fixture
def connect(url: str, binding: str) -> Connect:
    """Make clients of one binding."""
    return partial(connected, url, binding)


@pytest.fixture
def database_url() -> Iterator[str]:
    """Make a database that is the test's own, on PostgreSQL."""
    with fresh_database("postgresql") as url:
        yield url
