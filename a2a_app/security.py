"""The log for security: who was refused what, and who changed what others may do.

Its lines go to the logger `a2a_app.security`. Each has the event's name and its fields as JSON, and
the same fields as attributes of the record, for handlers that send them on. Nothing secret may be
passed to it: a key is named by its prefix, a token by nothing.
"""

import json
import logging
import threading
import time
from collections import Counter
from enum import StrEnum

logger = logging.getLogger(__name__)

# Of one kind and one caller, so many events a minute are logged one by one. Of those that follow
# each is logged whose number is a power of two, so that a flood of a million adds 16 lines.
ONE_BY_ONE = 8
MINUTE = 60.0
# How many callers are counted one by one. The rest of a minute's are counted together.
CALLERS = 1_000
# Clients may have chosen a value, or a part of it.
MAX_CHARACTERS = 300


class SecurityEvent(StrEnum):
    """What is logged for security. docs/reference/security-events.md says what each one means."""

    SIGN_IN_REFUSED = "sign_in_refused"
    PERMISSION_REFUSED = "permission_refused"
    LIMIT_REACHED = "limit_reached"
    KEY_REFUSED = "key_refused"
    TOKEN_REFUSED = "token_refused"  # noqa: S105  # the name of an event
    WEBHOOK_REFUSED = "webhook_refused"
    ACCESS_ENDED = "access_ended"
    KEY_ISSUED = "key_issued"
    KEY_ROTATED = "key_rotated"
    KEY_CHANGED = "key_changed"
    KEY_REVOKED = "key_revoked"
    KEY_DELETED = "key_deleted"
    TASK_CANCELED = "task_canceled"
    TASK_RERUN = "task_rerun"
    TASK_DELETED = "task_deleted"
    TASK_ANSWERED = "task_answered"
    STAFF_DECIDED = "staff_decided"


# All others are refusals.
_DONE = {
    SecurityEvent.KEY_ISSUED,
    SecurityEvent.KEY_ROTATED,
    SecurityEvent.KEY_CHANGED,
    SecurityEvent.KEY_REVOKED,
    SecurityEvent.KEY_DELETED,
    SecurityEvent.TASK_CANCELED,
    SecurityEvent.TASK_RERUN,
    SecurityEvent.TASK_DELETED,
    SecurityEvent.TASK_ANSWERED,
    SecurityEvent.STAFF_DECIDED,
}


def record(
    event: SecurityEvent,
    *,
    owner: str = "",
    key: str = "",
    agent: str = "",
    address: str = "",
    reason: str = "",
    **more: str,
) -> None:
    """Log an event, unless its caller has caused very many of its kind in this minute.

    Any thread may call it.

    Args:
        event: What has happened.
        owner: The owner of the tasks that it is about, such as `user:7`; empty if unknown.
        key: The name of the credentials, which is no secret; empty if they have none.
        agent: The slug of the agent.
        address: The client's address, as the server has it in REMOTE_ADDR.
        reason: Why, in words that contain no secret.
        **more: What else the event has, by the names in docs/reference/security-events.md.
    """
    is_done = event in _DONE
    # What staff does is never left out.
    count = 1 if is_done else _counts.add(event, owner or address)
    if count > ONE_BY_ONE and count & (count - 1):
        return
    given = {"owner": owner, "key": key, "agent": agent, "address": address, "reason": reason}
    fields: dict[str, str | int] = {"outcome": "done" if is_done else "refused"}
    fields |= {name: value[:MAX_CHARACTERS] for name, value in (given | more).items()}
    fields["count"] = count
    extra = {"event": event.value, **fields}
    # As JSON in ASCII: a value with a line break in it cannot make up a line.
    text = json.dumps({name: value for name, value in fields.items() if value != ""})
    if is_done:
        logger.info("Security event %s: %s", event.value, text, extra=extra)
    else:
        logger.warning("Security event %s: %s", event.value, text, extra=extra)


class EventCounts:
    """How many events there were in the present minute, by kind and caller."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since = time.monotonic()
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, event: str, caller: str) -> int:
        """Count an event, and return how many there are now of its kind and caller."""
        with self._lock:
            now = time.monotonic()
            if now >= self._since + MINUTE:
                self._since = now
                self._counts.clear()
            pair = event, caller
            if pair not in self._counts and len(self._counts) >= CALLERS:
                pair = event, "others"
            self._counts[pair] += 1
            return self._counts[pair]

    def forget(self) -> None:
        """Begin to count anew."""
        with self._lock:
            self._counts.clear()


_counts = EventCounts()
forget_counts = _counts.forget
