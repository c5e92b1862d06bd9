"""Tracebacks: what is stored and logged of an agent's failure, however long it is."""

import logging
import traceback
from uuid import UUID

from a2a_app.database.values import escape_unstorable
from a2a_app.store import failures

# How many characters of a traceback are kept: some exceptions repeat all their input.
CHARACTERS = 100_000


def traceback_of(failure: BaseException, characters: int = CHARACTERS) -> str:
    """Return the traceback of a failure, and of a very long one its beginning and its end.

    Characters that some databases cannot store, some log files cannot either, are escaped.

    Args:
        failure: The failure.
        characters: How many characters are kept, a fifth of them from the beginning.
    """
    trace = escape_unstorable("".join(traceback.format_exception(failure)))
    left_out = len(trace) - characters
    if left_out <= 0:
        return trace
    head = characters // 5
    note = f"\n… {left_out} characters are left out here …\n"
    return trace[:head] + note + trace[head + left_out :]


def note_failure(failure: BaseException) -> UUID:
    """Note that the request at work has failed without a task; return a reference for its client.

    With it staff finds the traceback in the admin.
    """
    return failures.note(traceback_of(failure, failures.CHARACTERS))


def shorten(record: logging.LogRecord) -> bool:
    """Have handlers write the traceback of a record as it is stored."""
    if record.exc_info and record.exc_info[1] is not None:
        record.exc_text = traceback_of(record.exc_info[1])
    return True
