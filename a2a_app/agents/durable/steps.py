"""Steps: pieces of a turn's work, each with one result for all attempts at the turn."""

import asyncio
import inspect
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from math import isfinite, isnan
from typing import Any, get_type_hints
from uuid import UUID

from django.utils import timezone
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticSerializationError, to_json

from a2a_app import conf
from a2a_app.agents.content import clean
from a2a_app.agents.durable.spending import SpendingTurn
from a2a_app.agents.durable.waits import inside_step, refuse_inside_step
from a2a_app.concurrency.event_loop import Contained
from a2a_app.concurrency.threads import run_in_own_thread
from a2a_app.protocol import Message, Part, Role
from a2a_app.store.durable.attempts import read_before
from a2a_app.store.durable.steps import (
    Kind,
    Outcome,
    Place,
    Recorded,
    read_steps,
    record_step,
)
from a2a_app.store.refusals import Refused, RepetitionError, RunLostError
from a2a_app.store.writes.attachments import StoredAttachments

MAX_NAME = 200
MAX_KIND = 255
MAX_ERROR = 20_000
# The longest pause between two tries.
LONGEST_PAUSE_SECONDS = 300.0


class StepError(Exception):
    """A step has failed, in this attempt at the turn or in an earlier one."""

    def __init__(self, name: str, kind: str, text: str) -> None:
        super().__init__(f"The step {name!r} has failed: {kind}: {text}")
        self.name = name
        """The step's name, with its number if it is not the first of that name."""
        self.kind = kind
        """The class of the exception, such as `builtins.ValueError`."""
        self.text = text
        """The text of the exception."""


@dataclass(frozen=True, slots=True)
class Tries:
    """How often a step is tried."""

    retries: int
    backoff: float
    retry_on: type[Exception] | tuple[type[Exception], ...]
    timeout: float | None

    def __post_init__(self) -> None:
        if self.retries < 0 or self.backoff < 0:
            raise ValueError("retries and backoff must not be below 0.")
        if self.timeout is not None and self.timeout <= 0:
            raise ValueError("timeout must be above 0 seconds.")

    def pause_after(self, tried: int, error: Exception) -> float | None:
        """Return for how many seconds to wait before the next try; None: there is none."""
        if tried > self.retries or not isinstance(error, self.retry_on):
            return None
        return min(LONGEST_PAUSE_SECONDS, self.backoff * 2.0 ** min(tried - 1, 32))


class Stepper(SpendingTurn):
    """The steps of a turn."""

    _before: Recorded | None = None
    _before_at = 0.0
    _steps = 0

    @cached_property
    def _names(self) -> "Counter[str]":
        """How many steps of a name this attempt has come to."""
        return Counter()

    async def step(
        self,
        name: str,
        function: Callable[..., Any],
        *args: Any,
        retries: int = 0,
        backoff: float = 1.0,
        retry_on: type[Exception] | tuple[type[Exception], ...] = Exception,
        timeout: float | None = None,  # noqa: ASYNC109  # it is stated for each try
        returns: Any = None,
        key_as: str = "",
    ) -> Any:
        """Call a function, and return its result, which later attempts at the turn get back.

        A process that dies before the result is stored leaves the step to be done again: it is done
        at least once, and counts once. In a synchronous agent: `turn.wait(turn.step(…))`.

        Args:
            name: What it does, for people. Of several of a name, the second is `name#2`.
            function: The function, with or without `async`; the latter gets a thread. It must not
                use the turn's verbs.
            *args: What it is called with.
            retries: How often it is tried again after an exception.
            backoff: How many seconds pass before the second try; twice as many before each next.
            retry_on: Which exceptions are worth another try.
            timeout: Seconds that one try may take. None: any number.
            returns: The type of the result, as pydantic reads it. None: the function's annotation
                says so. Without both, what comes back is JSON.
            key_as: The name of an argument in which the function gets a key that is the same
                in each try and attempt, for services that know idempotency keys. Empty: none.

        Raises:
            StepError: The function has failed, now or in an earlier attempt.
            RuntimeError: It is called in the function of another step.
            RepetitionError: An earlier attempt has done another step here.
            BudgetError: A budget is used up. What was done already is not refused.
            TypeError: The result is none that can be stored.
        """
        tries = Tries(retries, backoff, retry_on, timeout)
        return await self._step(self._next_place(name), function, args, tries, returns, key_as)

    async def read_before(self, *, is_durable: bool) -> None:
        """Read what earlier attempts have led to, as `read_before` of the store does."""
        claim, self._before_at = self._claim, self._loop.time()
        before = await self._writer.persist(
            read_before, claim.head.task_id, claim.run.id, is_durable=is_durable
        )
        self._told, self.number = before.told, before.told.turn
        self._usage = before.usage if self._shows_usage else {}
        self._writer.repetition, self._before = before.said, before.recorded

    async def read_recorded(self) -> Recorded:
        """Read what the steps of earlier attempts have led to."""
        if self._before is None:
            self._before_at = self._loop.time()
            task_id = self._claim.head.task_id
            self._before = await self._writer.persist(read_steps, task_id, self.number)
        return self._before

    async def _step(
        self,
        place: Place,
        function: Callable[..., Any],
        args: Sequence[Any],
        tries: Tries,
        returns: Any,
        key_as: str,
    ) -> Any:
        adapter = _adapter(place.name, function, returns)
        async with self.waits.for_step():
            outcome = await self._earlier(place)
            if outcome is None:
                key = f"{self.task_id}-{place.turn}-{place.number}"
                work = partial(function, *args, **({key_as: key} if key_as else {}))
                await self.check_budgets()
                outcome = await self._perform(place, work, tries, adapter)
        if outcome.error_kind:
            raise StepError(place.name, outcome.error_kind, outcome.error)
        return adapter.validate_json(await self._text_of(outcome))

    def _next_place(self, name: str) -> Place:
        name = clean(name, self.report)
        if not 0 < len(name) <= MAX_NAME:
            raise ValueError(f"The name of a step must have 1 to {MAX_NAME} characters.")
        self._names[name] += 1
        count = self._names[name]
        return self._place(name if count == 1 else f"{name}#{count}", Kind.WORK)

    def _place(self, name: str, kind: Kind) -> Place:
        refuse_inside_step()
        self._steps += 1
        return Place(self.number, self._steps, name, kind)

    async def _earlier(self, place: Place) -> Outcome | None:
        """Return what the step has led to before, or None; raise RepetitionError."""
        if self._claim.attempt == 1:
            return None
        outcome = (await self.read_recorded()).steps.get(place.number)
        if outcome is None:
            return None
        if (outcome.kind, outcome.name) != (place.kind, place.name):
            expected, met = (
                f"a {each.kind}" if not each.name else repr(each.name) for each in (outcome, place)
            )
            raise RepetitionError(f"step {place.number}", expected, met)
        return outcome

    async def _perform(
        self, place: Place, work: Callable[[], Any], tries: Tries, adapter: "TypeAdapter[Any]"
    ) -> Outcome:
        started_at, tried = timezone.now(), 0
        while True:
            tried += 1
            try:
                async with asyncio.timeout(tries.timeout):
                    value = await _call(place.name, work)
                break
            except Refused:  # of the turn itself
                raise
            except Exception as error:  # any function may raise anything
                pause = tries.pause_after(tried, error)
                if pause is None:
                    kind, text = self._described(error)
                    failed = (place.name, None, "", kind, text, tried, started_at, timezone.now())
                    await self._keep(place, Outcome(*failed), b"")
                    raise StepError(place.name, kind, text) from error
            await asyncio.sleep(pause)
        result = self._as_json(place.name, value, adapter)
        done = (place.name, [result], "", "", "", tried, started_at, timezone.now())
        return await self._keep(place, Outcome(*done), to_json(result))

    def _described(self, error: Exception) -> tuple[str, str]:
        kind = f"{type(error).__module__}.{type(error).__qualname__}"[:MAX_KIND]
        return kind, clean(str(error), self.report)[:MAX_ERROR]

    def _as_json(self, name: str, value: Any, adapter: "TypeAdapter[Any]") -> Any:
        try:
            result = adapter.dump_python(value, mode="json", warnings="error")
            result = clean(_with_names(result), self.report)
            adapter.validate_json(to_json(result))
        except (PydanticSerializationError, ValidationError, ValueError) as error:
            raise TypeError(f"The step {name!r} returned what cannot be stored: {error}") from None
        return result

    async def _keep(
        self,
        place: Place,
        outcome: Outcome,
        text: bytes,
        record: Callable[..., None] = record_step,
    ) -> Outcome:
        """Store an outcome, whose result is in a file if its text is large; return it."""
        head = self._claim.head
        if not 0 < conf.current().raw_limit < len(text):
            await self._store(record, place, outcome, ())
            return outcome
        message = Message.unchecked(
            message_id="", role=Role.AGENT, metadata={}, extensions=[], reference_task_ids=[],
            context_id="", task_id="", parts=[Part(raw=text, media_type="application/json")],
        )  # fmt: skip  # as one list
        attachments = StoredAttachments(
            [message], owner=head.owner, task_id=head.task_id, run=self._writer.persist
        )
        async with attachments as stored:
            url = stored.items[0].parts[0].url or ""
            outcome = outcome._replace(result=None, file=url)
            await self._store(record, place, outcome, stored.keys)
        return outcome

    async def _store(
        self, record: Callable[..., None], place: Place, outcome: Outcome, files: Collection[UUID]
    ) -> None:
        run, head = self._claim.run, self._writer.head
        try:
            await self._writer.persist(record, head, run, place, outcome, files)
        except RunLostError:
            self.suspend()
            raise

    async def _text_of(self, outcome: Outcome) -> bytes:
        if outcome.result is None:
            return await self.read(Part(url=outcome.file))
        return to_json(outcome.result[0])


async def _call(name: str, work: Callable[[], Any]) -> Any:
    with Contained(f"The step {name!r}"), inside_step(name):
        if inspect.iscoroutinefunction(work):
            return await work()
        result = await run_in_own_thread(work)
        return await result if inspect.isawaitable(result) else result


def _with_names(value: Any) -> Any:
    """Return JSON values with the names of numbers that JSON has not, which pydantic reads back."""
    match value:
        case float() if not isfinite(value):
            return "NaN" if isnan(value) else f"{'-' if value < 0 else ''}Infinity"
        case dict():
            return {key: _with_names(each) for key, each in value.items()}
        case list():
            return [_with_names(each) for each in value]
        case _:
            return value


def _adapter(name: str, function: Callable[..., Any], returns: Any) -> "TypeAdapter[Any]":
    """Return what writes and reads the result of a step's function.

    Raises:
        TypeError: The type of the result is none that pydantic knows.
    """
    try:
        kind = _annotation(function) if returns is None else returns
        try:
            return _kept_adapter(kind, repr(kind))
        except TypeError:  # it has no hash, as some annotations have none
            return _adapter_of(kind)
    except (NameError, PydanticUserError) as error:
        raise TypeError(
            f"What the step {name!r} returns has no type that pydantic reads: {error}. Say it by "
            "returns=."
        ) from None


@lru_cache(maxsize=256)
def _kept_adapter(kind: Any, spelling: str) -> "TypeAdapter[Any]":
    """Return an adapter that was made before, since that takes longer than to record a step.

    Of a union the spelling has the order, which counts, though two unions are equal without it.
    """
    return _adapter_of(kind)


def _adapter_of(kind: Any) -> "TypeAdapter[Any]":
    try:
        config = ConfigDict(
            ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="constants"
        )
        return TypeAdapter(kind, config=config)
    except PydanticUserError:
        return TypeAdapter(kind)  # a model has its own


def _annotation(function: Callable[..., Any]) -> Any:
    while isinstance(function, partial):
        function = function.func
    annotated = function if inspect.isroutine(function) else type(function).__call__
    return get_type_hints(annotated).get("return", Any)
