"""The budget: how many bytes of large answers a process has in memory at once, shared by owners.

An answer is large from `STREAM_BYTES` on. Its bytes are reserved before it is read, and released
when its client has got it, or is gone. Small answers reserve nothing.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any
from weakref import finalize

from a2a_app import conf
from a2a_app.concurrency.event_loop import PerLoop
from a2a_app.concurrency.shares import Shares

# Bytes are reserved in multiples of this.
PLACE_BYTES = 64 * 1024


class Budget:
    """The bytes that the large answers of one event loop may have, and the line of those waiting.

    It is a line with a gap: an owner that has something already lets others pass who have nothing.
    Nobody passes an owner that has nothing, or a large answer would never get its turn.
    """

    def __init__(self, size: int) -> None:
        """Make a budget of so many bytes."""
        self._shares: Shares[str] = Shares(max(1, size // PLACE_BYTES))
        self._waiting: deque[Reservation] = deque()

    def reserve(self, owner: str, size: int) -> "Reservation":
        """Reserve bytes for an owner, who gets them in turn.

        An answer that is larger than all that one owner may have takes all of that.
        """
        places = min(max(1, -(-size // PLACE_BYTES)), self._shares.largest)
        reservation = Reservation(self, owner, places)
        self._waiting.append(reservation)
        self.grant()
        return reservation

    def remove(self, reservation: "Reservation") -> None:
        """Take a reservation back, granted or waiting."""
        if reservation.is_granted:
            self._shares.give_back(reservation.owner, reservation.places)
        else:
            self._waiting.remove(reservation)
        self.grant()

    def grant(self) -> None:
        """Grant what there is room for."""
        for reservation in list(self._waiting):
            owner, places = reservation.owner, reservation.places
            if self._shares.has_room(owner, places):
                self._shares.take(owner, places)
                self._waiting.remove(reservation)
                reservation.granted.set_result(None)
            elif not self._shares.count(owner):
                return


class Reservation:
    """Some bytes of the budget. Release it, or use it as a context manager."""

    def __init__(self, budget: Budget, owner: str, places: int) -> None:
        self.owner = owner
        self.places = places
        self._loop = asyncio.get_running_loop()
        self.granted: asyncio.Future[None] = self._loop.create_future()
        self._budget: Budget | None = budget

    def __enter__(self) -> "Reservation":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    @property
    def is_granted(self) -> bool:
        """Whether its bytes may be used."""
        return self.granted.done()

    async def wait(self, seconds: float | None = None) -> bool:
        """Wait until the bytes may be used; return False if that takes longer than `seconds`."""
        if not self.is_granted:
            # Unlike `wait_for`, this leaves the future as it is, and so the place in the line.
            await asyncio.wait([self.granted], timeout=seconds)
        return self.is_granted

    def release(self) -> None:
        """Let go of the bytes, or leave the line. Doing it again changes nothing."""
        budget, self._budget = self._budget, None
        if budget is not None:
            budget.remove(self)

    def release_soon(self) -> None:
        """Release it from any thread."""
        with suppress(RuntimeError):  # the event loop has ended, and so has the budget
            self._loop.call_soon_threadsafe(self.release)


def hold(held: list[Reservation], answer: Any) -> "finalize[Any, Any]":
    """Release reservations once an answer is closed, or is gone because nobody sends it.

    Args:
        held: The reservations.
        answer: What has the bytes.

    Returns:
        What releases them at once; any thread may call it.
    """
    release = finalize(answer, release_all, held)
    release.atexit = False
    return release


def release_all(held: Iterable[Reservation]) -> None:
    """Release reservations from any thread."""
    for reservation in held:
        reservation.release_soon()


def reserve(owner: str, size: int) -> Reservation:
    """Reserve bytes for an owner's large answer in this process."""
    return _budgets.get().reserve(owner, size)


_budgets = PerLoop(lambda: Budget(conf.current().answer_bytes))
