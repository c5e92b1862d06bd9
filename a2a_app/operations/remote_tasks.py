"""Remote tasks: what is done once an agent elsewhere tells of a task that a turn has given to it.

It is no operation of the protocol: a webhook of ours is called.
"""

from uuid import UUID

from a2a_app import database
from a2a_app.store.durable.remote_tasks import ring_for
from a2a_app.store.notify import ring


async def look_again(asked: UUID) -> None:
    """Have the turn that has asked look at once, whatever process it is in, or put away.

    Args:
        asked: The key of the `RemoteTask`. Where nobody waits for it, nothing happens.

    Raises:
        AwayError: The database is away.
    """
    woken = await database.run(ring_for, asked)
    if woken is not None:
        await ring(woken)
