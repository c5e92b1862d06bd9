"""A PostgreSQL database of its own for each test, and layers on it."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import dj_database_url
import pytest
from django.db import connections

from a2a_app.layers import PostgreSQLChannelLayer
from tests.servers import fresh_database

Make = Callable[..., PostgreSQLChannelLayer]


@pytest.fixture
def database_url() -> Iterator[str]:
    """Make a database for the layers, and return its URL."""
    with fresh_database("postgresql") as url:
        yield url


@pytest.fixture
async def make(database_url: str) -> AsyncIterator[Make]:
    """Make layers as CONFIG does; each is a side of its own, as it would be in another process."""
    async with layers_on(database_url) as make_one:
        yield make_one


@asynccontextmanager
async def layers_on(url: str) -> AsyncIterator[Make]:
    """Yield what makes layers on the database of a DATABASE_URL, and close them at the end."""
    parsed = {"default": dict(dj_database_url.parse(url))}
    # A name of its own, because Django's connections, by name, outlive the test.
    connections.settings[url] = connections.configure_settings(parsed)["default"]
    made: list[PostgreSQLChannelLayer] = []

    def layer(**config: object) -> PostgreSQLChannelLayer:
        made.append(PostgreSQLChannelLayer(url, **config))  # type: ignore[arg-type]  # as CONFIG
        return made[-1]

    yield layer
    for each in made:
        await each.flush()
    del connections.settings[url]


@pytest.fixture
def layer(make: Make) -> PostgreSQLChannelLayer:
    """Make a layer as it is without a CONFIG."""
    return make()


@pytest.fixture
def other(make: Make) -> PostgreSQLChannelLayer:
    """Make another side."""
    return make()
