"""What OpenTelemetry is told: spans of one trace from the request on, errors, usage and metrics."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from pytest_django import Settings

from a2a_app import database, models, runners, telemetry
from a2a_app.agents import Turn
from a2a_app.client import RemoteAgent
from a2a_app.client.http import join_trace
from a2a_app.database.values import EPOCH
from a2a_app.models.owners import Scope
from a2a_app.protocol import TaskNotFoundError, TaskPushNotificationConfig
from a2a_app.store import runs
from a2a_app.store.claims import Claim
from a2a_app.store.updates import MessageReceived
from a2a_app.store.waiting import count_by_agent
from a2a_app.telemetry.spans import Telemetry
from a2a_app.testing import AsyncClient
from tests.client.test_on_the_way import BASE, Peer, error
from tests.clients.operations import client_of
from tests.receiver import receiving
from tests.servers import ROOT
from tests.tasks import begin, begin_and_claim, claim_of, new_message

pytestmark = pytest.mark.usefixtures("runtime")

SECONDS = 20
TOKENS_USED = "gen_ai.client.token.usage"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
HEADERS = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}


class Exported:
    """What was exported, in memory."""

    def __init__(self) -> None:
        self._spans, self._metrics = InMemorySpanExporter(), InMemoryMetricReader()
        traces = TracerProvider()
        traces.add_span_processor(SimpleSpanProcessor(self._spans))
        self.tracer = traces.get_tracer("project")
        self.telemetry = Telemetry(traces, MeterProvider([self._metrics]))

    def span(self, name: str) -> ReadableSpan:
        """Return the one span with a name."""
        found = [span for span in self._spans.get_finished_spans() if span.name == name]
        assert len(found) == 1, [span.name for span in self._spans.get_finished_spans()]
        return found[0]

    def values(self, name: str) -> list[tuple[Any, dict[str, Any]]]:
        """Return the values of a metric, or the counts of a histogram, with their attributes."""
        points = self.points(name)
        return [(getattr(p, "value", getattr(p, "sum", None)), dict(p.attributes)) for p in points]

    def points(self, name: str) -> list[Any]:
        """Return the data points of a metric."""
        data = self._metrics.get_metrics_data()
        assert data is not None
        return [
            point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[Exported]:
    exported = Exported()
    monkeypatch.setattr(telemetry, "active", exported.telemetry)
    yield exported


def trace_id(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    number: int = span.context.span_id
    return number


def parent_of(span: ReadableSpan) -> int:
    assert span.parent is not None
    return span.parent.span_id


async def spender(turn: Turn) -> AsyncIterator[str]:
    trace.get_current_span().add_event("at work")
    await turn.usage("small-1", input_tokens=3, output_tokens=4)
    await turn.usage("small-1", input_tokens=10)
    yield "done"


def threaded(turn: Turn) -> str:
    trace.get_current_span().add_event("at work")
    return "done"


def broken(turn: Turn) -> None:
    raise LookupError("lost")


@pytest.mark.parametrize("agent", [spender, threaded])
async def test_a_request_and_its_turn_are_spans_of_the_clients_trace(
    agent: Any, exported: Exported
) -> None:
    async with AsyncClient(agent, headers=HEADERS) as client:
        task = await client.send("hello")
        slug = client.agent.slug
    request, turn = exported.span("a2a SendMessage"), exported.span(f"invoke_agent {slug}")
    assert trace_id(request) == trace_id(turn) == TRACE
    assert f"{parent_of(request):016x}" == HEADERS["traceparent"].split("-")[2]
    assert parent_of(turn) == id_of(request)
    said = dict(turn.attributes or {})
    assert (said["a2a.task.id"], said["gen_ai.conversation.id"]) == (task.task_id, task.context_id)
    assert (said["a2a.turn"], said["a2a.attempt"]) == (1, 1)
    assert said["a2a.task.state"] == "TASK_STATE_COMPLETED"
    assert dict(request.attributes or {})["rpc.method"] == "SendMessage"
    assert [event.name for event in turn.events] == ["at work"]
    if agent is spender:
        assert said["gen_ai.usage.input_tokens"] == 13
        assert said["gen_ai.usage.output_tokens"] == 4


async def test_a_span_of_the_projects_is_nearer_than_the_clients(exported: Exported) -> None:
    with exported.tracer.start_as_current_span("the project's own") as own:
        async with AsyncClient(threaded, headers=HEADERS) as client:
            await client.send("hello")
    assert parent_of(exported.span("a2a SendMessage")) == own.get_span_context().span_id


async def test_the_errors_of_agents_and_requests_are_recorded(exported: Exported) -> None:
    async with AsyncClient(broken) as client:
        await client.send("hello")
        with pytest.raises(Exception, match="not found"):
            await client.call("CancelTask", {"id": "nothing"})
        turn = exported.span(f"invoke_agent {client.agent.slug}")
    for span, kind in ((turn, "LookupError"), (exported.span("a2a CancelTask"), "TaskNotFound")):
        assert span.status.status_code is StatusCode.ERROR
        [raised] = [event for event in span.events if event.name == "exception"]
        assert kind in str(dict(raised.attributes or {})["exception.type"])
        assert kind in str(dict(span.attributes or {})["error.type"])
    assert dict(turn.attributes or {})["a2a.task.state"] == "TASK_STATE_FAILED"


async def test_a_webhook_gets_the_trace_of_the_request(
    exported: Exported, settings: Settings
) -> None:
    settings.A2A = {**settings.A2A, "PUSH_HOSTS": ["127.0.0.1"], "PUSH_ALLOW_HTTP": True}
    await runners.current().begin()
    with client_of(threaded) as client, exported.tracer.start_as_current_span("root") as root:
        async with receiving() as receiver:
            webhook = TaskPushNotificationConfig(url=receiver.url)
            await client.send(task_push_notification_config=webhook)
            await receiver.gets(1)
            [first, *_] = receiver.requests
    assert f"{root.get_span_context().trace_id:032x}" == first.headers["traceparent"].split("-")[1]


async def test_another_attempt_at_a_turn_belongs_to_the_same_trace() -> None:
    def attempt_again() -> Claim | None:
        received = MessageReceived(new_message(), trace=HEADERS)
        task_id = begin_and_claim(received=received).head.task_id
        models.Run.objects.update(lease_until=EPOCH)
        [lost] = runs.lost(limit=2)
        assert runs.retry(lost)
        return claim_of(task_id)

    claim = await database.run(attempt_again)
    assert claim is not None
    assert (claim.attempt, claim.trace) == (2, HEADERS)


async def test_a_call_over_http_names_the_trace_of_the_code_that_calls(exported: Exported) -> None:
    request = httpx.Request("POST", "https://elsewhere.invalid/")
    with exported.tracer.start_as_current_span("caller") as caller:
        await join_trace(request)
    number = caller.get_span_context().span_id
    assert request.headers["traceparent"].split("-")[2] == f"{number:016x}"


@pytest.mark.parametrize("by_step", [False, True])
async def test_an_agent_that_calls_another_one_of_the_project_is_followed(
    exported: Exported, by_step: bool
) -> None:
    async def planner(turn: Turn) -> str:
        if by_step:
            return (await turn.ask("threaded", turn.text)).text
        async with RemoteAgent("threaded") as other:
            return (await other.send(turn.text)).text

    async with AsyncClient(threaded), AsyncClient(planner, headers=HEADERS) as client:
        assert (await client.send("hello")).text == "done"
    inner, outer = exported.span("invoke_agent threaded"), exported.span("invoke_agent planner")
    call = exported.span("a2a SendStreamingMessage")
    assert trace_id(inner) == TRACE
    assert parent_of(inner) == id_of(call)
    assert parent_of(call) == id_of(outer)
    assert call.kind is SpanKind.CLIENT
    said = dict(call.attributes or {})
    assert (said["service.peer.name"], said["a2a.agent"]) == ("threaded", "planner")


@pytest.mark.slow
async def test_a_request_to_an_agent_elsewhere_is_one_span_with_all_its_tries(
    exported: Exported,
) -> None:
    peer = Peer(503, 200)
    with exported.tracer.start_as_current_span("caller") as caller:
        async with RemoteAgent(f"{BASE}/", transport=peer) as other:
            await other.get("t")
    call = exported.span("a2a GetTask")
    assert call.kind is SpanKind.CLIENT and call.status.status_code is StatusCode.UNSET
    assert parent_of(call) == caller.get_span_context().span_id
    assert dict(call.attributes or {}) == {
        "rpc.method": "GetTask",
        "rpc.system.name": "jsonrpc",
        "service.peer.name": "Peer",
        "server.address": "peer.test",
        "server.port": 443,
    }
    parents = {request.headers["traceparent"].split("-")[2] for request in peer.requests}
    assert parents == {f"{id_of(call):016x}"} and len(peer.requests) == 2


async def test_the_error_of_an_agent_elsewhere_is_the_error_of_the_span(
    exported: Exported,
) -> None:
    async with RemoteAgent(f"{BASE}/", transport=Peer(error(-32001))) as other:
        with pytest.raises(TaskNotFoundError):
            await other.get("t")
    call = exported.span("a2a GetTask")
    assert call.status.status_code is StatusCode.ERROR
    assert dict(call.attributes or {})["error.type"] == "TaskNotFoundError"


async def test_the_span_of_a_stream_is_not_that_of_the_code_that_reads_it(
    exported: Exported,
) -> None:
    async with AsyncClient(spender), RemoteAgent("spender") as other:
        with exported.tracer.start_as_current_span("reader") as reader:
            async with aclosing(other.stream("hello")) as events:
                async for _ in events:
                    assert trace.get_current_span() is reader
                    break
    call = exported.span("a2a SendStreamingMessage")
    assert call.status.status_code is StatusCode.UNSET
    assert parent_of(call) == reader.get_span_context().span_id


async def test_turns_that_nobody_has_begun_are_counted_by_each_sweep(exported: Exported) -> None:
    slug = "patient"
    with client_of(threaded, slug=slug):
        await database.run(lambda: [begin(scope=Scope(slug, f"name:{n}")) for n in range(3)])
        waiting = await database.read(count_by_agent, [slug, "idle"])
        exported.telemetry.note_waiting(waiting)
        counted = exported.values("a2a.turns.waiting")
        assert sorted((count, about["a2a.agent"]) for count, about in counted) == [
            (0, "idle"),
            (3, slug),
        ]
        await runners.current().begin()
        async with asyncio.timeout(SECONDS):
            while (0, {"a2a.agent": slug}) not in exported.values("a2a.turns.waiting"):
                await runners.current().sweep()


async def test_metrics_count_turns_events_and_tokens(exported: Exported) -> None:
    async with AsyncClient(spender) as client:
        events = [event async for event in client.stream("hello")]
        slug = client.agent.slug
        # The turn may be busy for a moment after its last event.
        async with asyncio.timeout(SECONDS):
            while exported.values("a2a.turns.active") != [(0, {"a2a.agent": slug})]:
                await runners.current().sweep()
    [(took, about)] = exported.values("a2a.turn.duration")
    assert took > 0
    assert about == {"a2a.agent": slug, "a2a.task.state": "TASK_STATE_COMPLETED"}
    [durations], [counted, _] = map(exported.points, ["a2a.turn.duration", TOKENS_USED])
    assert len([bound for bound in durations.explicit_bounds if bound < 5]) > 5
    assert counted.explicit_bounds[:3] == (1, 4, 16) and counted.explicit_bounds[-1] == 4**13
    assert exported.values("a2a.streams.open") == [(0, {})]
    assert exported.values("a2a.events") == [(events[-1].number, {"a2a.agent": slug})]
    tokens = exported.values(TOKENS_USED)
    assert sorted((count, about["gen_ai.token.type"]) for count, about in tokens) == [
        (4, "output"),
        (13, "input"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("is_set", [True, False])
def test_a_process_tells_nobody_unless_it_has_a_provider(is_set: bool) -> None:
    code = f"""
import sys
from a2a_app import telemetry
telemetry.start()
assert telemetry.active is None and "opentelemetry" not in sys.modules
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
if {is_set}:
    trace.set_tracer_provider(TracerProvider())
telemetry.start()
assert (telemetry.active is not None) is {is_set}
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=SECONDS)
