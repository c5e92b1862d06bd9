"""PostgreSQL on several servers: a primary and a standby that change places."""

import os
import pwd
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import psycopg

from project import services
from tests.folder import folder

SECONDS = 30

# Sessions that may still write: they began before their server was told to take no writes.
IS_QUIET = "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_xid IS NOT NULL)"
IS_READ_ONLY = (
    "SELECT 1 FROM pg_settings WHERE name = 'default_transaction_read_only' AND reset_val = 'on'"
)
HAS_STANDBY = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"


class Replicas:
    """The servers of one site, of which one is the primary; a context manager, which stops them.

    Each commit waits until the standby has it. So what a client was told of is on the standby.
    """

    def __init__(self, primary: Any, *, standbys: int) -> None:
        """Begin with a primary, which stays its caller's to stop.

        Args:
            primary: A server as `services.start_postgresql` returns it.
            standbys: How many will be added, one after the other.
        """
        self._primary = primary
        self._started: list[Any] = []
        self._folders = [folder() / uuid4().hex[:8] for _ in range(standbys)]
        hosts = ",".join(str(each) for each in (primary.pgdata, *self._folders))
        self.url = (
            f"postgresql://postgres@{quote(hosts, safe='')}/postgres"
            "?target_session_attrs=read-write&connect_timeout=3"
        )
        """The DATABASE_URL of whichever takes writes, with all servers as docs/deployment.md."""

    def __enter__(self) -> "Replicas":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for server in self._started:
            server.cleanup()

    def add_standby(self) -> None:
        """Start a copy of the primary, and return once each commit waits for it."""
        copy = self._folders[len(self._started)]
        _copy(self._primary, copy)
        self._started.append(services.start_postgresql(copy))
        _execute(
            self._primary,
            "ALTER SYSTEM SET synchronous_standby_names = '*'",
            "SELECT pg_reload_conf()",
            until=HAS_STANDBY,
        )

    def switch_over(self) -> None:
        """Demote the primary, which keeps its sessions and takes no more writes; promote the other.

        So does an operator. No commit is under way meanwhile.
        """
        _execute(
            self._primary,
            "ALTER SYSTEM SET default_transaction_read_only = on",
            "SELECT pg_reload_conf()",
            until=IS_READ_ONLY,
        )
        _execute(self._primary, until=IS_QUIET)
        self._promote()

    def fail_over(self) -> None:
        """Crash the primary with all that is under way, and promote the standby."""
        process = self._primary.get_postmaster_info().process
        os.kill(process.pid, signal.SIGQUIT)
        process.wait(SECONDS)
        self._promote()

    def _promote(self) -> None:
        self._primary = self._started[-1]
        _execute(self._primary, f"SELECT pg_promote(true, {SECONDS})")


def _copy(server: Any, to: Path) -> None:
    """Copy a server's data to a new folder, of a server that will follow it."""
    to.mkdir(mode=0o700)
    if server.system_user:
        owner = pwd.getpwnam(server.system_user)
        os.chown(to, owner.pw_uid, owner.pw_gid)
    command = [str(server.bin_path / "pg_basebackup"), "--write-recovery-conf"]
    options = ["--checkpoint=fast", "--no-sync", "-U", "postgres", "-h", str(server.pgdata)]
    subprocess.run(
        [*command, *options, "-D", str(to)],
        check=True,
        timeout=SECONDS,
        user=server.system_user,
        capture_output=True,  # it warns of the socket, which it does not copy
    )
    (to / ".s.PGSQL.5432.lock").unlink()  # the socket's, which says that the other has it


def _execute(server: Any, *statements: str, until: str = "") -> None:
    """Run statements on a server, and return once a query finds a row."""
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)
        for _ in range(SECONDS * 100 if until else 0):
            if connection.execute(until).fetchall():
                return
            connection.execute("SELECT pg_sleep(0.01)")
    if until:
        raise TimeoutError(until)
