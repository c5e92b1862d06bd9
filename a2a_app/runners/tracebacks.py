"""Tracebacks: what is stored and logged of an agent's failure, however long it is."""

import logging
import traceback
from uuid import UUID

from a2a_app.database.values import escape_unstorable
from a2a_app.store import failures

# How many characters of a traceback are kept: some exceptions repeat all their input.
TRACEBACK_HEAD = 20_000
TRACEBACK_TAIL = 80_000


def traceback_of(failure: BaseException) -> str:
    """Return the traceback of a failure, and of a very long one its beginning and its end.

    Characters that some databases cannot store, some log files cannot either, are escaped.
    """
    trace = escape_unstorable("".join(traceback.format_exception(failure)))
    left_out = len(trace) - TRACEBACK_HEAD - TRACEBACK_TAIL
    if left_out <= 0:
        return trace
    note = f"\n… {left_out} characters are left out here …\n"
    return trace[:TRACEBACK_HEAD] + note + trace[-TRACEBACK_TAIL:]


def note_failure(failure: BaseException) -> UUID:
    """Note that the request at work has failed without a task; return a reference for its client.

    With it staff finds the traceback in the admin.
    """
    return failures.note(traceback_of(failure))


def shorten(record: logging.LogRecord) -> bool:
    """Have handlers write the traceback of a record as it is stored."""
    if record.exc_info and record.exc_info[1] is not None:
        record.exc_text = traceback_of(record.exc_info[1])
    return True
