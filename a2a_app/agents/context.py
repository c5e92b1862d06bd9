"""ContextState: what an agent remembers of a conversation."""

from copy import deepcopy
from typing import Any

from a2a_app.protocol import Message
from a2a_app.store import database, read
from a2a_app.store.claims import Claim
from a2a_app.store.updates import StateSaved, Update


class ContextState:
    """The conversation a turn belongs to (section 3.4.1)."""

    def __init__(self, claim: Claim) -> None:
        self.id: str = claim.head.context_id
        self.state: dict[str, Any] = deepcopy(claim.context_state)
        """What the agent remembers: JSON values. Saved with whatever ends the turn."""
        self._scope = read.Scope(claim.head.agent, claim.head.owner)
        self._saved: dict[str, Any] = claim.context_state
        self._version: int = claim.context_version

    async def messages(self, limit: int = 100) -> list[Message]:
        """Read the newest messages of the whole conversation, over all its tasks, oldest first."""
        return await database.run(read.messages, self._scope, self.id, limit=limit)

    def unsaved(self) -> list[Update]:
        """Give what has to be appended for the state to be kept, if it was changed."""
        if self.state == self._saved:
            return []
        saved = StateSaved(deepcopy(self.state), self._version)
        self._saved, self._version = saved.state, self._version + 1
        return [saved]
