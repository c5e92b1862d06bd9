"""Sleep: a turn that waits is put away, and holds nothing but its rows until it goes on."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeAlias, TypeVar

from django.utils import timezone
from pydantic import TypeAdapter

from a2a_app import conf
from a2a_app.agents.content import clean
from a2a_app.agents.durable.approvals import TurnSuspended
from a2a_app.agents.durable.steps import MAX_NAME, Stepper
from a2a_app.agents.durable.waits import Wait
from a2a_app.store.durable.external_events import has_event, receive_event
from a2a_app.store.durable.steps import Kind, Outcome, Place
from a2a_app.store.durable.waits import Begun, begin_wait, seconds_between
from a2a_app.store.durable.wakeups import put_away
from a2a_app.store.notify import ring
from a2a_app.store.refusals import RunLostError

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
            ValueError: It is no duration that a calendar has, or a time without a zone.
            RepetitionError: An earlier attempt has come to another step here.
            TurnSuspended: The turn is put away. Let it pass.
        """
        self._require_durable("sleep")
        length = _length(until)
        place = self._place("", Kind.SLEEP)
        # Counted, so that nothing beside it is put away before it is known for how long.
        async with self.waits.for_step():
            outcome = await self._earlier(place)
            if outcome is None:
                begun = await self._persist_or_stop(begin_wait, place, length)
            else:
                begun = self._begun(outcome)
        over_at = self._loop.time() + (begun.seconds_left or 0.0)
        while (seconds_left := over_at - self._loop.time()) > 0:
            await self._rest(Wait(begun.until), seconds_left)

    async def wait_for(
        self,
        name: str,
        *,
        timeout: Until | None = None,  # noqa: ASYNC109  # it lasts longer than any process
        returns: Any = None,
    ) -> Any:
        """Wait for an event that `a2a_app.events.send` tells the task of, and return its data.

        The turn is put away like one that sleeps, after PUT_AWAY_SECONDS. An event that came before
        is there at once, and each is given to one `wait_for` only. In a synchronous agent:
        `turn.wait(turn.wait_for("payment"))`.

        Args:
            name: The event's name.
            timeout: How long, or until when, as for `sleep`; None: for ever.
            returns: The type of the data, as pydantic reads it. None: what comes is JSON.

        Raises:
            TimeoutError: No event has come in time, now or in an earlier attempt.
            TypeError: The agent is not durable.
            ValueError: The time or the name is none, or the data are not of that type.
            RepetitionError: An earlier attempt has come to another step here.
            TurnSuspended: The turn is put away. Let it pass.
        """
        self._require_durable("wait_for")
        name = clean(name, self.report)
        if not 0 < len(name) <= MAX_NAME:
            raise ValueError(f"The name of an event must have 1 to {MAX_NAME} characters.")
        adapter = TypeAdapter(Any if returns is None else returns)
        until = None if timeout is None else _length(timeout)
        place = self._place(name, Kind.EVENT)
        async with self.waits.for_step():
            outcome = await self._earlier(place)
        if outcome is None or outcome.ended_at is None:
            outcome = await self._receive(place, until)
        if outcome.error_kind:
            raise TimeoutError(outcome.error)
        return adapter.validate_json(await self._text_of(outcome))

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

    async def _receive(self, place: Place, until: timedelta | datetime | None) -> Outcome:
        """Wait for the event of a place, and return it, or that it is too late."""
        patience_ends_at = self._loop.time() + conf.current().put_away_seconds
        wait = Wait(None, partial(has_event, self._claim.head.task_id, place.name))
        is_late = False
        with self.waits.also(wait):
            while True:
                async with self.waits.for_step():
                    outcome, left = await self._persist_or_stop(
                        receive_event, place, until, is_late
                    )
                    wait.until = outcome.until
                if outcome.ended_at is not None:
                    return outcome
                now = self._loop.time()
                await self._rest(wait, left, grace=max(0.0, patience_ends_at - now))
                is_late = left is not None and self._loop.time() >= now + left

    def _begun(self, outcome: Outcome) -> Begun:
        """Return what an earlier attempt has begun to wait for, and how much of that is left."""
        assert self._before and self._before.read_at  # as it has the outcome
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
                left = None if seconds_left is None else seconds_left - grace
                await self._put_away(wait, left)

    async def _put_away(self, wait: Wait, seconds_left: float | None) -> None:
        """Put the run away once all else rests, unless something has come or it is time."""
        if not await self.waits.all_rest(wait, seconds_left):
            return
        with self.waits.leaving():
            await self._writer.flushed()
            until = self.waits.until
            if not await self._persist_or_stop(put_away, until, self.waits.have_come):
                return
            self.waits.leave()
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
    try:
        length = until if isinstance(until, timedelta) else timedelta(seconds=until)
        timezone.now() + length
    except OverflowError:
        raise ValueError(f"A duration must end before the year 10000: {until}.") from None
    if length < timedelta(0):
        raise ValueError(f"A duration must not be below 0: {length}.")
    return length
