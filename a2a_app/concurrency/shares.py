"""Shares: how many of a few places each owner may have at once, so that one leaves room for others.

Places are deliveries under way, threads that look up names, or some of the memory for answers.
"""

from collections import Counter
from collections.abc import Hashable
from typing import Generic, TypeVar

# An owner may have so many places for each one that is free besides the last. A lone owner then has
# at most four fifths of all, and each further one leaves less to the others, but never nothing: the
# last place is for somebody who has none.
FOR_EACH_FREE = 4

K = TypeVar("K", bound=Hashable)


class Shares(Generic[K]):
    """Counts the places that each owner has."""

    def __init__(self, places: int, taken: Counter[K] | None = None) -> None:
        """Divide so many places, of which some may be taken already."""
        self.places = places
        self._taken: Counter[K] = Counter() if taken is None else taken

    @property
    def free(self) -> int:
        """How many places nobody has; none if there were once more of them than now."""
        return max(0, self.places - self._taken.total())

    @property
    def is_contended(self) -> bool:
        """Whether some owner may take no further place."""
        return any(not self.has_room(owner) for owner in self._taken)

    @property
    def largest(self) -> int:
        """How many places a lone owner may have."""
        return max(1, -(-FOR_EACH_FREE * (self.places - 1) // (FOR_EACH_FREE + 1)))

    def count(self, owner: K) -> int:
        """Return how many places an owner has."""
        return self._taken[owner]

    def has_room(self, owner: K, places: int = 1) -> bool:
        """Tell whether an owner may take one more, or so many."""
        # What holds for the last of them holds for those before it.
        taken, free = self._taken[owner] + places - 1, self.free - places + 1
        return free > 0 and (taken == 0 or taken < FOR_EACH_FREE * (free - 1))

    def take(self, owner: K, places: int = 1) -> None:
        """Count places as taken."""
        self._taken[owner] += places

    def give_back(self, owner: K, places: int = 1) -> None:
        """Count places as free."""
        self._taken[owner] -= places
        if not self._taken[owner]:
            del self._taken[owner]

    def copy(self) -> "Shares[K]":
        """Return an independent copy, to try out what else there is room for."""
        return Shares(self.places, self._taken.copy())
