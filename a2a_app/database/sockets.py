"""The sockets of connections to PostgreSQL: limits, and what is done to one without its thread.

Its statements and transactions are the business of the thread that has the connection.
"""

import math
import os
import select
import socket
from contextlib import suppress
from typing import Any

from a2a_app import conf

# libpq's PQTRANS_ACTIVE: a command is under way.
_ACTIVE = 1


def limits() -> dict[str, int]:
    """Return libpq's parameters by which a silent network becomes an error within seconds."""
    seconds = math.ceil(conf.current().database_seconds)
    return {
        "connect_timeout": max(2, seconds),  # libpq knows none below
        "tcp_user_timeout": seconds * 1000,
        "keepalives_idle": max(2, seconds),
        "keepalives_interval": max(1, seconds // 3),
        "keepalives_count": 3,
    }


def has_heard(connection: Any) -> bool:
    """Tell whether a server has said something unasked, such as that it closes the connection."""
    driver = connection.connection
    if connection.vendor != "postgresql" or not hasattr(select, "poll") or driver.closed:
        return False
    sockets = select.poll()  # `select` itself takes no more than 1024 open files
    sockets.register(driver.fileno(), select.POLLIN)
    return bool(sockets.poll(0))


def interrupt(connection: Any) -> bool:
    """Close the socket of another thread's connection if the thread is waiting for an answer.

    Returns:
        Whether it was. Only PostgreSQL's are closed; other databases have limits of their own.
    """
    # While a connection is being opened there is none yet; `connect_timeout` is its limit.
    driver = connection.connection
    if connection.vendor != "postgresql" or driver is None:
        return False
    with suppress(connection.Database.Error):  # it is closed meanwhile
        if driver.pgconn.transaction_status == _ACTIVE:
            return cut(driver)
    return False


def cut(driver: Any) -> bool:
    """Close the socket below a connection of psycopg, so that whoever waits for it gets an error.

    Returns:
        Whether it was open.
    """
    with suppress(OSError), socket.socket(fileno=os.dup(driver.pgconn.socket)) as silent:
        silent.shutdown(socket.SHUT_RDWR)
        return True
    return False
