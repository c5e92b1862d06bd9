"""The figures as Prometheus reads them. It needs the extra `prometheus`.

They are those of the site and not of a process, so each process answers the same.
"""

from collections.abc import Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from a2a_app.figures.current import COUNTED, Figures
from a2a_app.figures.history import History
from a2a_app.figures.levels import concerns_of, worst_of


def write_figures(figures: Figures, accept: str) -> tuple[bytes, str]:
    """Write figures in one of the formats of Prometheus.

    Args:
        figures: The figures.
        accept: What whoever asks can read, as in the header Accept.

    Returns:
        The text, and its media type.
    """
    registry = CollectorRegistry()
    registry.register(_Collected(figures))
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type


class _Collected(Collector):
    """What a registry of Prometheus asks."""

    def __init__(self, figures: Figures) -> None:
        self.figures = figures

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        yield from _now(self.figures)
        yield from _lately(self.figures.history)


def _now(found: Figures) -> Iterator[Metric]:
    level = worst_of(concerns_of(found))
    yield _gauge("level", "How soon somebody should look: 0 not at all, 1 soon, 2 now.", level)
    read_at = found.read_at.timestamp()
    yield _gauge("figures_timestamp_seconds", "When the database was asked for them.", read_at)
    turns = {"running": found.running, "queued": found.queued, "lost": found.lost}
    yield _by("state", "turns", f"Turns under way, counted to {COUNTED}.", turns)
    age = found.queue_seconds
    yield _gauge("queue_age_seconds", "For how long the oldest turn waits for a worker.", age)
    busy = sum(worker.turns > 0 for worker in found.living)
    yield _gauge("busy_workers", "Workers that have turns.", busy)
    workers = {"alive": len(found.living), "gone": len(found.workers) - len(found.living)}
    text = "Workers, and those that have lately gone without a word."
    yield _by("state", "workers", text, workers)
    slots = sum(worker.slots or 0 for worker in found.living)
    yield _gauge("slots", "Turns that all workers together can work on at once.", slots)
    asked = {"input": found.waiting_for_input, "auth": found.waiting_for_auth}
    yield _by("for", "waiting_tasks", f"Tasks that wait for clients, to {COUNTED}.", asked)
    text = f"Tasks that were begun since midnight and have failed, counted to {COUNTED}."
    yield _gauge("failed_tasks_today", text, min(found.failed_today, COUNTED))
    webhooks = {"failing": found.webhooks_failing, "given_up": found.webhooks_given_up}
    yield _by("state", "webhooks", f"Webhooks that lack events, counted to {COUNTED}.", webhooks)


def _lately(found: History) -> Iterator[Metric]:
    text = "Tasks that were begun in the last hour and have ended."
    yield _gauge("ended_tasks_last_hour", text, found.ended_lately)
    text = "Tasks that were begun in the last hour and have failed."
    yield _gauge("failed_tasks_last_hour", text, found.failed_lately)
    text = "Events of the tasks that were begun in the last hour."
    yield _gauge("events_per_second", text, found.events_per_second)
    tasks = {each.agent: each.tasks for each in found.agents}
    text = "Tasks that were begun in the last 24 hours and have ended."
    yield _by("agent", "agent_ended_tasks", text, tasks)
    durations = _family("agent_task_seconds", "How long these took.", "agent", "quantile")
    for each in found.agents:
        durations.add_metric([each.agent, "0.5"], each.median)
        durations.add_metric([each.agent, "0.95"], each.percentile95)
    yield durations


def _gauge(name: str, text: str, value: float) -> Metric:
    family = _family(name, text)
    family.add_metric([], value)
    return family


def _by(label: str, name: str, text: str, values: Mapping[str, float]) -> Metric:
    family = _family(name, text, label)
    for each, value in values.items():
        family.add_metric([each], min(value, COUNTED))
    return family


def _family(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"a2a_{name}", text, labels=labels)
