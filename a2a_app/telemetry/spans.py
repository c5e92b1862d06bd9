"""The spans and metrics of the app, in the words of OpenTelemetry and of its conventions.

Only the API is needed. The SDK, and where it exports to, are the project's.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any

from opentelemetry import context, metrics, propagate, trace
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

import a2a_app
from a2a_app import logs

NAME = "a2a_app"
TRACE_HEADERS = ("traceparent", "tracestate")
"""The headers of W3C Trace Context, by which a trace goes from one process to another."""

# The SDK's own are made for milliseconds: all turns of less than five seconds would be one.
TURN_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 86400)
# As the conventions for generative AI have them.
TOKENS = tuple(4**power for power in range(14))

# What the turn that runs now has used of language models.
_used: "ContextVar[Counter[str] | None]" = ContextVar("a2a_used", default=None)


class Telemetry:
    """Makes the spans, and counts."""

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        """Tell these providers; None: those of the process."""
        version = a2a_app.__version__
        self._tracer = trace.get_tracer(NAME, version, tracer_provider)
        meter = metrics.get_meter(NAME, version, meter_provider)
        self._turns = meter.create_up_down_counter(
            "a2a.turns.active", unit="{turn}", description="Turns that run, by agent."
        )
        self._waiting: Mapping[str, int] = {}
        meter.create_observable_gauge(
            "a2a.turns.waiting",
            [self._observe_waiting],
            unit="{turn}",
            description="Turns that nobody has begun, in all processes, by agent.",
        )
        self._durations = meter.create_histogram(
            "a2a.turn.duration",
            unit="s",
            description="How long turns took, by agent and state.",
            explicit_bucket_boundaries_advisory=TURN_SECONDS,
        )
        self._events = meter.create_counter(
            "a2a.events", unit="{event}", description="Events committed, by agent."
        )
        self._streams = meter.create_up_down_counter(
            "a2a.streams.open", unit="{stream}", description="Streams that clients have open."
        )
        self._notifications = meter.create_counter(
            "a2a.notifications", unit="{notification}", description="Webhooks sent, by outcome."
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Tokens that agents reported.",
            explicit_bucket_boundaries_advisory=TOKENS,
        )

    @contextmanager
    def request(self, operation: str, binding: str, carrier: Mapping[str, str]) -> Iterator[None]:
        """Make the span of a request to an agent, of the trace that the client's headers name.

        Args:
            operation: The operation's name.
            binding: The name of the binding, as cards have it.
            carrier: The request's headers of W3C Trace Context.
        """
        about = {"rpc.system.name": binding.lower(), "rpc.method": operation}
        with self._span(f"a2a {operation}", SpanKind.SERVER, about, carrier):
            yield

    @contextmanager
    def turn(self, number: int, attempt: int, carrier: Mapping[str, str]) -> Iterator["TurnSpan"]:
        """Make the span of a turn, of the trace of the request that it answers."""
        subject = logs.subject.get()
        about = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": subject.agent,
            "gen_ai.conversation.id": subject.context,
            "a2a.turn": number,
            "a2a.attempt": attempt,
        }
        by_agent, since, used = {"a2a.agent": subject.agent}, time.monotonic(), Counter[str]()
        _used.set(used)
        self._turns.add(1, by_agent)
        name = f"invoke_agent {subject.agent}"
        with self._span(name, SpanKind.CONSUMER, about, carrier) as span:
            turn = TurnSpan(span)
            try:
                yield turn
            finally:
                span.set_attributes(used)
                self._turns.add(-1, by_agent)
                took = time.monotonic() - since
                self._durations.record(took, {**by_agent, "a2a.task.state": turn.state})

    @contextmanager
    def notification(self, host: str, carrier: Mapping[str, str]) -> Iterator[None]:
        """Make the span of a notification to a webhook, and count it by its outcome."""
        about = {"http.request.method": "POST", "server.address": host}
        outcome = "failed"
        try:
            with self._span("a2a notification", SpanKind.PRODUCER, about, carrier):
                yield
            outcome = "delivered"
        finally:
            self._notifications.add(1, {"a2a.outcome": outcome})

    @contextmanager
    def call(self, operation: str, about: Mapping[str, Any]) -> Iterator["WorkSpan"]:
        """Make the span of a request to another agent, with all that is done to repeat it.

        It is not the current one: a stream gives way to the code that reads it.

        Args:
            operation: The operation's name.
            about: What the conventions want to be said of the agent.
        """
        about = {"rpc.method": operation, **about, **_subject()}
        span = self._tracer.start_span(f"a2a {operation}", kind=SpanKind.CLIENT, attributes=about)
        call = WorkSpan(span)
        try:
            yield call
        except Exception as error:
            call.fail(error)
            raise
        finally:
            span.end()

    def note_waiting(self, turns: Mapping[str, int]) -> None:
        """Note how many turns of each agent nobody has begun."""
        self._waiting = dict(turns)

    def _observe_waiting(self, options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(count, {"a2a.agent": agent}) for agent, count in self._waiting.items()]

    def count_events(self, agent: str, count: int) -> None:
        """Count events that were committed."""
        self._events.add(count, {"a2a.agent": agent})

    def count_stream(self, change: int) -> None:
        """Count a stream that a client has opened, by 1, or that has ended, by -1."""
        self._streams.add(change)

    def count_usage(self, model: str, tokens: Mapping[str, int]) -> None:
        """Count what a turn has used of a language model: its tokens by `input` and `output`."""
        used = _used.get()
        for kind, count in tokens.items():
            about = {"gen_ai.token.type": kind, "gen_ai.request.model": model}
            self._tokens.record(count, {**about, "gen_ai.operation.name": "invoke_agent"})
            if used is not None:
                used[f"gen_ai.usage.{kind}_tokens"] += count

    @staticmethod
    def carrier() -> dict[str, str]:
        """Return the headers that name the span of the code that runs now."""
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        return {name: carrier[name] for name in TRACE_HEADERS if name in carrier}

    @contextmanager
    def _span(
        self, name: str, kind: SpanKind, about: Mapping[str, Any], carrier: Mapping[str, str]
    ) -> Iterator[Span]:
        about = {**about, **_subject()}
        # A span of the project's, such as that of its instrumentation of Django, is nearer.
        has_parent = trace.get_current_span().get_span_context().is_valid
        parent = context.get_current() if has_parent else propagate.extract(carrier)
        with self._tracer.start_as_current_span(name, parent, kind, about) as span:
            try:
                yield span
            except Exception as error:
                _note_kind(span, error)
                raise


class WorkSpan:
    """The span of work that may fail."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def current(self) -> AbstractContextManager[Span]:
        """Have the code within be a part of it."""
        return trace.use_span(self._span, record_exception=False, set_status_on_exception=False)

    def fail(self, error: BaseException) -> None:
        """Note an error that has ended it."""
        self._span.record_exception(error)
        self._span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        _note_kind(self._span, error)


class TurnSpan(WorkSpan):
    """The span of a turn."""

    state = "TASK_STATE_UNSPECIFIED"
    """The state of the task after the turn."""

    def end(self, state: str) -> None:
        """Note the state of the task after the turn."""
        self.state = state
        self._span.set_attribute("a2a.task.state", state)


def _note_kind(span: Span, error: BaseException) -> None:
    span.set_attribute("error.type", type(error).__qualname__)


def _subject() -> dict[str, str]:
    """Return what all spans say of the task for which the code works."""
    subject = logs.subject.get()
    named = {
        "a2a.task.id": subject.task,
        "a2a.context.id": subject.context,
        "a2a.agent": subject.agent,
        "a2a.tenant": subject.tenant,
    }
    return {name: value for name, value in named.items() if value}


def find_telemetry() -> Telemetry | None:
    """Return what tells the providers of this process; None: it has none."""
    providers = (trace.get_tracer_provider(), metrics.get_meter_provider())
    # Without one, the API has a proxy that waits for it.
    if all("Proxy" in type(provider).__name__ for provider in providers):
        return None
    return Telemetry()
