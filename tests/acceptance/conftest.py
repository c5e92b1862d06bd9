"""What the tests with real processes share: servers, databases, and the official client."""

from collections.abc import Iterator
from functools import partial
from itertools import product

import pytest

from tests.clients.sdk import Connect, connected
from tests.servers import Process, fresh_database, served

COMBINED = (["sqlite", "postgresql"], ["daphne", "uvicorn"])


# One server of each kind for all tests of the folder: starting them is what takes the time.
@pytest.fixture(scope="package", params=product(*COMBINED), ids="-".join)
def server(request: pytest.FixtureRequest) -> Iterator[Process]:
    with served(*request.param) as process:
        yield process


@pytest.fixture
def url(server: Process, request: pytest.FixtureRequest) -> Iterator[str]:
    before = len(server.output())
    yield server.url
    request.node.add_report_section("call", server.url, server.output()[before:])


@pytest.fixture(params=["JSONRPC", "HTTP+JSON"])
def connect(url: str, request: pytest.FixtureRequest) -> Connect:
    """Make clients of one binding."""
    return partial(connected, url, request.param)


@pytest.fixture
def database_url() -> Iterator[str]:
    """Make a database that is the test's own, on PostgreSQL."""
    with fresh_database("postgresql") as url:
        yield url
