"""What counts as away: errors as the databases and their drivers raise them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, InterfaceError, OperationalError

from a2a_app.database.away import AwayError, Cause, cause_of
from tests.servers import Database, empty_database

SQLSTATES = [
    ("08006", Cause.BROKEN),  # connection_failure
    ("08P01", Cause.BROKEN),  # protocol_violation, PgBouncer's for most of what it lacks
    ("25P03", Cause.BROKEN),  # idle_in_transaction_session_timeout
    ("57P01", Cause.BROKEN),  # admin_shutdown
    ("57P03", Cause.BROKEN),  # cannot_connect_now
    ("57P05", Cause.BROKEN),  # idle_session_timeout
    ("25006", Cause.READ_ONLY),
    ("53100", Cause.FULL),  # disk_full
    ("53300", Cause.FULL),  # too_many_connections
    ("58030", Cause.FULL),  # io_error
    ("55P03", Cause.BUSY),  # lock_not_available
    ("57014", Cause.BUSY),  # query_canceled
    ("40001", Cause.CONFLICT),
    ("40P01", Cause.CONFLICT),
    ("42P01", None),  # undefined_table, whichever it is
    ("22001", None),  # string_data_right_truncation
    ("23505", None),  # unique_violation
    ("54001", None),  # statement_too_complex, an OperationalError too
    ("25P02", None),  # in_failed_sql_transaction
]


def as_django_raises(error: Exception, kind: type[Exception] = DatabaseError) -> Exception:
    try:
        raise kind(*error.args) from error
    except kind as raised:
        return raised


@pytest.mark.parametrize(("sqlstate", "cause"), SQLSTATES)
def test_an_error_of_postgresql_counts_by_its_sqlstate(sqlstate: str, cause: Cause | None) -> None:
    error = as_django_raises(psycopg.errors.lookup(sqlstate)("said the server"))
    assert cause_of(error) is cause
    # As a queue in our database raises it.
    assert cause_of(as_django_raises(error, RuntimeError)) is cause


@pytest.mark.parametrize("kind", [OperationalError, InterfaceError])
def test_an_error_without_a_code_is_the_driver_s_own_about_a_connection(
    kind: type[Exception],
) -> None:
    assert cause_of(as_django_raises(psycopg.OperationalError("no route"), kind)) is Cause.BROKEN
    assert cause_of(DatabaseError("something else")) is None
    assert cause_of(ValueError("nothing of a database")) is None


@contextmanager
def raised_by_sqlite(path: str) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
        yield connection


def test_a_full_a_busy_a_read_only_and_an_absent_file_of_sqlite_count(tmp_path: Path) -> None:
    path = str(tmp_path / "some.sqlite3")
    with raised_by_sqlite(path) as one, raised_by_sqlite(path) as other:
        one.execute("CREATE TABLE some (text)")
        one.execute("BEGIN EXCLUSIVE")
        assert _cause_of(other, "BEGIN IMMEDIATE") is Cause.BUSY
        one.execute("ROLLBACK")
        one.execute("PRAGMA max_page_count = 2")
        assert _cause_of(one, "INSERT INTO some VALUES (zeroblob(100000))") is Cause.FULL
        one.execute("PRAGMA query_only = on")
        assert _cause_of(one, "DELETE FROM some") is Cause.READ_ONLY
        assert _cause_of(one, "SELECT * FROM nothing") is None
    with pytest.raises(sqlite3.OperationalError) as caught:
        sqlite3.connect(str(tmp_path / "absent" / "some.sqlite3"))
    assert cause_of(as_django_raises(caught.value, OperationalError)) is Cause.FULL


@pytest.mark.parametrize(
    "statement",
    [
        'SELECT "text" FROM "a2a_app_absent"',
        'SELECT "a2a_app_some"."absent" FROM "a2a_app_some"',
        'INSERT INTO "a2a_app_some" ("absent") VALUES (1)',
    ],
)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_table_or_column_of_ours_that_is_not_there_is_a_missing_migration(
    kind: Database, statement: str
) -> None:
    with empty_database(kind) as url:
        connect: Any = sqlite3.connect if kind == "sqlite" else psycopg.connect
        with closing(connect(url.removeprefix("sqlite:///"))) as connection:
            connection.execute('CREATE TABLE "a2a_app_some" ("text" text)')
            connection.commit()
            assert _cause_of(connection, statement) is Cause.NOT_MIGRATED
            connection.rollback()
            of_others = statement.replace("a2a_app_some", "some").replace("a2a_app_", "shop_")
            assert _cause_of(connection, of_others) is None


def test_what_lacks_a_migration_says_what_to_do_and_not_the_statement() -> None:
    error = psycopg.errors.UndefinedTable('relation "a2a_app_run" does not exist\nLINE 1: SELECT')
    said = 'relation "a2a_app_run" does not exist (has `manage.py migrate` been run?)'
    assert str(AwayError(error, Cause.NOT_MIGRATED)) == said


def _cause_of(connection: Any, statement: str) -> Cause | None:
    with pytest.raises((sqlite3.Error, psycopg.Error)) as caught:
        connection.execute(statement)
    return cause_of(as_django_raises(caught.value, OperationalError))


def test_what_was_found_away_is_an_operational_error_that_says_why() -> None:
    error = AwayError(OperationalError("the disk is full"), Cause.FULL)
    assert isinstance(error, OperationalError)
    assert (str(error), cause_of(error)) == ("the disk is full", Cause.FULL)
    assert str(AwayError(TimeoutError(), Cause.BROKEN)) == "TimeoutError"
