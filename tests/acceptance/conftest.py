"""What the tests with the official client share: servers of each kind, and clients of them."""

from collections.abc import Iterator
from functools import partial
from itertools import product

import pytest

from tests.acceptance.official import Connect, connected, served
from tests.servers import Process

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
