"""Limits: a budget that is used up refuses messages, and the admin shows who is at which limit."""

import time

from a2a_app import conf, database, protocol
from a2a_app.operations.call import Call
from a2a_app.store.budgets import Spender, find_used_up
from a2a_app.store.quota import note_refusal

# How often one limit of one owner is noted: those who attack are refused thousands of times.
PAUSE_SECONDS = 60.0
# How many of them are remembered. One more, and the pauses of all begin anew.
MAX_REMEMBERED = 10_000


@conf.cached()
def _noted() -> dict[tuple[str, str], float]:
    """Return when each owner's limits were noted last, by `time.monotonic`."""
    return {}


async def note_limit(owner: str, error: protocol.ResourceExhaustedError) -> None:
    """Store that a limit has refused an owner, once a minute at most. The security log has each.

    Args:
        owner: The owner. Empty: nobody who is known.
        error: The error that it gets.
    """
    noted, key, now = _noted(), (owner, error.limit), time.monotonic()
    if now - noted.get(key, -PAUSE_SECONDS) < PAUSE_SECONDS:
        return
    if len(noted) >= MAX_REMEMBERED:
        noted.clear()
    noted[key] = now
    try:
        await database.run(note_refusal, owner, error.limit)
    except database.AwayError:  # which is logged
        del noted[key]


async def check_budgets(call: Call) -> None:
    """Check that a message may begin a turn, by the setting BUDGETS.

    Raises:
        ResourceExhaustedError: A budget is used up. The error says when the next one begins.
    """
    spender = Spender(call.scope.owner, call.agent.slug)
    state = await database.read(find_used_up, spender)
    if state is not None:
        raise protocol.ResourceExhaustedError(
            state.refusal,
            limit=state.budget.name,
            retry_seconds=state.seconds_left,
            reset_at=state.reset_at,
        )
