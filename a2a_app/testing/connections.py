"""The connections of a test, which all threads share.

A test's transaction is that of one connection, and nobody else sees what is in it. A database of
SQLite in memory has no other connection that does not get in the way. But the app works in threads
of its own, and so do agents without `async`. So all threads get the test's connections, one thread
at a time: for a statement, for a transaction of Django's, or for a unit of work of the app's.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import Atomic, atomic

from a2a_app import database

T = TypeVar("T")

# How long a thread waits for its turn. Who holds the connections for so long never gives them up.
PATIENCE_SECONDS = 5.0
BLOCKED = (
    "Another thread of the test is in a transaction, and does not leave it. All threads share the "
    "test's connection, so that an agent without `async` must call no verb inside `atomic()`, and "
    "nothing in a transaction may wait for another thread's work. In a TransactionTestCase on a "
    "database that is not in memory, each thread has a connection of its own."
)


def connections_of_test() -> dict[str, BaseDatabaseWrapper]:
    """Return this thread's connections that other threads must share, by their aliases.

    These are those in a transaction, which is the test's, and those to SQLite in memory.
    """
    # Where an event loop runs, a thread's own connections are hidden. It may be pytest's thread,
    # whose fixtures have begun the transaction before there was a loop.
    loop = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        found: Sequence[Any] = connections.all(initialized_only=True)
    finally:
        asyncio._set_running_loop(loop)
    return {each.alias: each for each in found if each.in_atomic_block or _is_in_memory(each)}


def _is_in_memory(connection: Any) -> bool:
    return connection.vendor == "sqlite" and bool(connection.is_in_memory_db())


class Turnstile:
    """A lock that a thread may take several times, and may lend to others while it waits."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._owner: int | None = None
        self._depth = 0

    def __enter__(self) -> None:
        self._take(1)

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._depth -= 1
            if self._depth == 0:
                self._owner = None
                self._changed.notify_all()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Let others have the lock inside the `with`, in which this thread only waits for them."""
        with self._changed:
            depth = self._depth if self._owner == threading.get_ident() else 0
            if depth:
                self._owner, self._depth = None, 0
                self._changed.notify_all()
        try:
            yield
        finally:
            if depth:
                self._take(depth)

    def _take(self, times: int) -> None:
        thread = threading.get_ident()
        with self._changed:
            if self._owner != thread:
                if not self._changed.wait_for(lambda: self._owner is None, PATIENCE_SECONDS):
                    raise RuntimeError(BLOCKED)
                self._owner = thread
            self._depth += times


class SharedConnections:
    """Has all threads share some connections of one thread; use as a context manager."""

    def __init__(self, shared: Mapping[str, BaseDatabaseWrapper]) -> None:
        """Share these connections, by their aliases. Without any, nothing changes."""
        self._shared = shared
        self._stack = ExitStack()
        self.turnstile = Turnstile()

    def __enter__(self) -> "SharedConnections":
        with ExitStack() as stack:
            for connection in self._shared.values():
                stack.enter_context(_shared(connection, self.turnstile))
            if self._shared:
                stack.enter_context(_seen_by_all_threads(self._shared))
                stack.enter_context(_one_transaction_at_a_time(self._shared, self.turnstile))
                stack.enter_context(database.performed_by(self._perform))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def _perform(self, work: Callable[[], T]) -> T:
        """Do a unit of work of the app's, and undo it where the database refuses it.

        Alone on a connection, a statement that is refused leaves nothing behind. In a transaction
        it would end that of the test.
        """
        alias = database.alias()
        with self.turnstile:
            if alias not in self._shared or not self._shared[alias].in_atomic_block:
                return work()
            with atomic(using=alias):
                try:
                    return work()
                except DatabaseError:
                    raise
                except Exception as error:  # raised again below, once what it has done is kept
                    refusal = error
        raise refusal


@contextmanager
def _shared(connection: BaseDatabaseWrapper, turnstile: Turnstile) -> Iterator[None]:
    """Let any thread use a connection, one statement at a time, and none close it."""

    def execute_alone(execute: Callable[..., T], sql: Any, *rest: Any) -> T:
        with turnstile:
            result = execute(sql, *rest)
            if connection.vendor == "sqlite" and "RETURNING" in str(sql):
                _stay_until_closed(rest[-1]["cursor"], turnstile)
            return result

    connection.inc_thread_sharing()
    # As Django's own test cases replace methods of a connection: each thread that ends, and each
    # request, closes the connections that it takes for its own.
    vars(connection)["close"] = lambda: None
    try:
        with connection.execute_wrapper(execute_alone):
            yield
    finally:
        del vars(connection)["close"]
        connection.dec_thread_sharing()


def _stay_until_closed(cursor: Any, turnstile: Turnstile) -> None:
    """Keep others out until a cursor is closed.

    To SQLite, a statement that writes and returns is under way until its rows are read, and no
    savepoint can be opened meanwhile.
    """
    close = cursor.close

    def close_and_leave() -> None:
        vars(cursor).pop("close", None)
        try:
            close()
        finally:
            turnstile.__exit__()

    turnstile.__enter__()
    vars(cursor)["close"] = close_and_leave


class _Connections:
    """Django's storage of connections: the shared ones for all threads, others for each thread."""

    def __init__(self, shared: Mapping[str, BaseDatabaseWrapper], own: Any) -> None:
        vars(self).update(shared)
        vars(self)["_own"] = own

    def __getattr__(self, alias: str) -> Any:
        # Asked for what is not shared.
        return getattr(vars(self)["_own"], alias)

    def __setattr__(self, alias: str, connection: Any) -> None:
        setattr(vars(self)["_own"], alias, connection)

    def __delattr__(self, alias: str) -> None:
        delattr(vars(self)["_own"], alias)


@contextmanager
def _seen_by_all_threads(shared: Mapping[str, BaseDatabaseWrapper]) -> Iterator[None]:
    # Django has no other place by which a thread that nobody here has started gets them, such as
    # the one in which its own asynchronous queries run.
    handler: Any = connections
    own = handler._connections
    handler._connections = _Connections(shared, own)
    try:
        yield
    finally:
        handler._connections = own


@contextmanager
def _one_transaction_at_a_time(
    shared: Mapping[str, BaseDatabaseWrapper], turnstile: Turnstile
) -> Iterator[None]:
    """Let no thread have the connections while another is in one of Django's transactions.

    Django calls nothing that could be wrapped before it looks at the state of the connection.
    """
    enter, leave = Atomic.__enter__, Atomic.__exit__
    entered = _Entered()

    def enter_alone(self: Atomic) -> None:
        is_ours = (self.using or DEFAULT_DB_ALIAS) in shared
        if is_ours:
            turnstile.__enter__()
        try:
            enter(self)
        except BaseException:
            if is_ours:
                turnstile.__exit__()
            raise
        entered.are_ours.append(is_ours)

    def leave_alone(self: Atomic, *error: Any) -> None:
        try:
            leave(self, *error)
        finally:
            # One that was entered before has not taken the turnstile.
            if entered.are_ours and entered.are_ours.pop():
                turnstile.__exit__()

    django_class: Any = Atomic
    django_class.__enter__, django_class.__exit__ = enter_alone, leave_alone
    try:
        yield
    finally:
        django_class.__enter__, django_class.__exit__ = enter, leave


class _Entered(threading.local):
    """The transactions that a thread is in: for each, whether it has taken the turnstile."""

    def __init__(self) -> None:
        self.are_ours: list[bool] = []
