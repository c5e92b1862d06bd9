"""Sleep: a turn that waits is put away, and holds nothing but its rows until it goes on."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeAlias, TypeVar

from django.utils import timezone

from a2a_app import conf
from a2a_app.agents.approvals import TurnSuspended
from a2a_app.agents.steps import Stepper
from a2a_app.agents.waits import Wait
from a2a_app.store.notify import ring
from a2a_app.store.refusals import RunLostError
from a2a_app.store.steps import Kind, Outcome, Place
from a2a_app.store.waits import Begun, begin_wait, seconds_between
from a2a_app.store.wakeups import put_away

T = TypeVar("T")
Until: TypeAlias = datetime | timedelta | float


class Sleeper(Stepper):
    """The waits of a turn, for which it is put away."""

    # Set by Turn, as what Reader has.
    is_durable = False
    """Whether the agent is. It is set by who runs the turn."""

    async def sleep(self, until: Until) -> None:
        """Wait for some time, however long, and through crashes and deploys.

        What lasts longer than PUT_AWAY_SECONDS holds no worker, thread or memory: the turn is put
        away, and when it is time the agent's code begins again, comes here and goes on. The
        agent must be durable. In a synchronous agent: `turn.wait(turn.sleep(60))`.

        Args:
            until: How long, in seconds or as a `timedelta`, from the first time that the code comes
                here. Or a `datetime` with a time zone, on the database's clock.

        Raises:
            TypeError: The agent is not durable.
            ValueError: It is a negative duration, or a time without a time zone.
            RepetitionError: An earlier attempt has come to another step here.
            TurnSuspended: The turn is put away. Let it pass.
        """
        self._require_durable("sleep")
        length = _length(until)
        outcome = await self._earlier(place := self._place("", Kind.SLEEP))
        begun = await self._begin_wait(place, length) if outcome is None else self._begun(outcome)
        over_at = self._loop.time() + (begun.seconds_left or 0.0)
        while (seconds_left := over_at - self._loop.time()) > 0:
            await self._rest(Wait(begun.until), seconds_left)

    @property
    def spoke_at(self) -> float:
        """When the agent has last used a verb, on the event loop's clock; 0: it has not yet."""
        return self._writer.accepted_at

    def look_again(self) -> None:
        """Have each wait look for what has come, since something may have."""
        self.waits.ring()

    def _require_durable(self, verb: str) -> None:
        if not self.is_durable:
            raise TypeError(
                f"turn.{verb} may put the turn away, whose code then begins again: declare the "
                f"agent {self._claim.head.agent!r} with durable=True."
            )

    async def _begin_wait(self, place: Place, until: timedelta | datetime | None) -> Begun:
        return await self._persist_or_stop(begin_wait, place, until)

    def _begun(self, outcome: Outcome) -> Begun:
        """Return what an earlier attempt has begun to wait for, and how much of that is left."""
        assert self._before is not None  # as it has the outcome
        seconds_ago = self._loop.time() - self._before_at
        left = seconds_between(self._before.read_at, outcome.until)
        return Begun(outcome.until, None if left is None else left - seconds_ago)

    async def _rest(self, wait: Wait, seconds_left: float | None, grace: float = 0.0) -> None:
        """Wait until something may have come, or it is time.

        The run is put away if that may take longer than PUT_AWAY_SECONDS.

        Args:
            wait: What for.
            seconds_left: How long at most; None: for ever.
            grace: For how many seconds the process waits before the run is put away.

        Raises:
            TurnSuspended: The run is put away.
        """
        with self.waits.also(wait):
            if seconds_left is not None and seconds_left <= conf.current().put_away_seconds:
                await wait.ring_within(seconds_left)
            elif not await wait.ring_within(grace):
                await self._put_away()

    async def _put_away(self) -> None:
        """Put the run away, unless something has come."""
        await self.waits.until_no_step()
        await self._writer.flushed()
        until = self.waits.until
        if not await self._persist_or_stop(put_away, until, self.waits.have_come):
            return
        self._writer.head = replace(self._writer.head, run_id=None)
        # Who looks for what is due in the next seconds has looked already.
        soon = timezone.now() + timedelta(seconds=2 * conf.current().sweep_seconds)
        if until is not None and until < soon:
            await ring(None)
        self.suspend()
        raise TurnSuspended

    async def _persist_or_stop(self, work: Callable[..., T], *args: Any) -> T:
        claim = self._claim
        try:
            return await self._writer.persist(work, claim.head.task_id, claim.run, *args)
        except RunLostError:
            self.suspend()
            raise


def _length(until: Until) -> timedelta | datetime:
    if isinstance(until, datetime):
        if timezone.is_naive(until):
            raise ValueError("A time must have a time zone, as django.utils.timezone.now() has.")
        return until
    length = until if isinstance(until, timedelta) else timedelta(seconds=until)
    if length < timedelta(0):
        raise ValueError(f"A duration must not be below 0: {length}.")
    return length
