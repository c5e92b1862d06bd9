"""The plugin for pytest, which finds it by itself. It imports nothing before a test uses it."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from a2a_app.testing import AsyncClient, Client


class MakeClient:
    """Makes clients of agents for one test, which ends them."""

    def __init__(self, stack: ExitStack) -> None:
        """Make clients that end with a stack."""
        self._stack = stack

    def __call__(self, agent: Any, **options: Any) -> "Client":
        """Return a client; the arguments are those of `a2a_app.testing.Client`."""
        from a2a_app.testing import Client  # loaded here: the project may not be set up before

        return self._stack.enter_context(Client(agent, **options))


@pytest.fixture
def a2a_client(request: pytest.FixtureRequest) -> Iterator[MakeClient]:
    """Return a function that makes a client of an agent: `a2a_client("echo").send("hello")`."""
    _set_up_before(request)
    with ExitStack() as stack:
        yield MakeClient(stack)


@pytest.fixture
def async_a2a_client(request: pytest.FixtureRequest) -> "Iterator[type[AsyncClient]]":
    """Return the class of clients for asynchronous tests: `async with async_a2a_client("echo")`.

    From the beginning of the test, asynchronous queries of its own see the test's transaction too.
    """
    from a2a_app.testing import AsyncClient, app_for_test  # loaded here: as above

    _set_up_before(request)
    with app_for_test():
        yield AsyncClient


def _set_up_before(request: pytest.FixtureRequest) -> None:
    """Set up what must outlast the clients: the test's transaction, and its settings."""
    for name in ("settings", "transactional_db", "db"):
        if name in request.fixturenames:
            request.getfixturevalue(name)
