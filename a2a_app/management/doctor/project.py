"""A site from inside, where the settings are those of the site: what it needs, and its checks."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta

from channels.layers import InMemoryChannelLayer, get_channel_layer
from django.core import checks
from django.db import Error
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from a2a_app import conf, database, models, runners
from a2a_app.agents import registry
from a2a_app.figures.workers import read_workers
from a2a_app.management.doctor import Finding, Level
from a2a_app.store.waiting import are_neglected

LAYER_SECONDS = 5.0
SLOW_SECONDS = 0.1
_ADVICE = "See manage.py check --deploy."


def findings() -> Iterator[Finding]:
    """Look at one thing after the other, and yield what is found."""
    answering = [database.alias()]
    try:
        yield from _database()
        yield from _workers()
    except Error as error:
        # Its first line: drivers add what they have tried.
        text = f"The database does not answer: {str(error).partition(chr(10))[0]}."
        yield Finding("database", "fault", text)
        answering = []
    yield asyncio.run(_layer())
    yield from _checks(answering)


def _database() -> Iterator[Finding]:
    begun = time.monotonic()
    ours = database.connection()
    ours.ensure_connection()
    executor = MigrationExecutor(ours)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    took = time.monotonic() - begun
    if plan:
        text = f"{len(plan)} migrations are missing: manage.py migrate."
        yield Finding("database", "fault", text)
    else:
        yield Finding("database", "good", f"The database has all tables. It took {took:.2f} s.")


def _workers() -> Iterator[Finding]:
    current = conf.current()
    runs = models.Run.objects.exclude(lease_until=None)
    at_work = runs.exclude(worker="").filter(lease_until__gte=timezone.now())
    newest = models.Run.objects.exclude(started_at=None).order_by("-pk").first()
    patience = timedelta(seconds=current.sweep_seconds)
    last = f"The last turn was begun at {newest.started_at:%Y-%m-%d %H:%M:%S %Z}." if newest else ""
    if are_neglected(agents=registry.slugs(), patience=patience):
        text = f"Turns wait, and nobody works on any: is a worker running? {last}"
        yield Finding("workers", "fault", text.strip())
    elif count := at_work.count():
        yield Finding("workers", "good", f"{count} turns are at work. {last}".strip())
    else:
        yield Finding("workers", "note", f"No turn waits, and none is at work. {last}".strip())
    runner = runners.current()
    if runner.needs_workers and not any(worker.lives for worker in read_workers()):
        text = f"No worker of the runner {current.runner!r} lives: start one."
        yield Finding("workers", "fault", text)
    for problem in runner.check():
        yield Finding("runner", "fault", problem)


async def _layer() -> Finding:
    layer = get_channel_layer()
    if layer is None:
        return Finding("channel layer", "fault", "There is no CHANNEL_LAYERS['default'].")
    begun = time.monotonic()
    try:
        async with asyncio.timeout(LAYER_SECONDS):
            channel = await layer.new_channel()
            await layer.send(channel, {"type": "a2a.doctor"})
            await layer.receive(channel)
    except Exception as error:  # layers raise whatever their libraries do
        text = f"The channel layer does not answer: {type(error).__name__}."
        return Finding("channel layer", "fault", text)
    took = time.monotonic() - begun
    text = f"A message took {took * 1000:.0f} ms through the channel layer."
    if isinstance(layer, InMemoryChannelLayer):
        text += " It is in this process's memory, and joins no two processes."
        return Finding("channel layer", "warning", text)
    return Finding("channel layer", "warning" if took > SLOW_SECONDS else "good", text)


def _checks(databases: Sequence[str]) -> Iterator[Finding]:
    found = checks.run_checks(include_deployment_checks=True, databases=databases)
    serious = [message for message in found if message.level >= checks.WARNING]
    for message in serious:
        if not message.is_silenced():
            level: Level = "fault" if message.level >= checks.ERROR else "warning"
            yield Finding("settings", level, f"{message.id}: {message.msg}")
    if not serious:
        yield Finding("settings", "good", f"The checks find nothing. {_ADVICE}")
