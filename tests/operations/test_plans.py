"""Every statement of operations, background work, commands and admin has its index (R15).

The statements are not listed here: they are those that the running code sends.
"""

import itertools
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import timedelta
from functools import partial
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from asgiref.sync import sync_to_async
from django.core.management import call_command
from django.db import connection, connections
from django.db.models import CharField
from django.db.models.functions import Cast
from django.utils import timezone

from a2a_app import database, figures, models, runners
from a2a_app.admin import lists
from a2a_app.agents import Turn
from a2a_app.concurrency.shares import Shares
from a2a_app.figures import current, history
from a2a_app.management import batches
from a2a_app.models import owners
from a2a_app.operations import push
from a2a_app.operations.tasks import get_task, list_tasks
from a2a_app.protocol import (
    A2AError,
    DeleteTaskPushNotificationConfigRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    ListTasksRequest,
    Part,
    TaskPushNotificationConfig,
    TaskState,
)
from a2a_app.store import deliveries, failures, runs, waiting
from a2a_app.store.reads.log import read_positions
from a2a_app.store.reads.tasks import position_at, read_messages
from a2a_app.store.writes import limits
from benchmarks.fill import copy
from benchmarks.peer import Peer
from tests.admin import tour
from tests.clients.operations import OperationsClient, client_of
from tests.conftest import ChangeSettings, close_connections
from tests.plans import faults, fill_spending, recorded, remember_and_archive, url
from tests.tasks import new_message
from tests.wire import state

# So many tasks are sent, and each is copied so often. SQLite chooses its plans without a look at
# the rows.
SEEDS, COPIES = 50, 400 if connection.vendor == "postgresql" else 2
# How far lists count, and how many rows a statement may read, for a site that is as much larger.
COUNTED, MAY_READ = 500, 1200
BOUNDS = [(lists, "COUNTED"), (batches, "WINDOW"), (current, "COUNTED"), (history, "SAMPLE")]
# So many tasks have been archived before.
ARCHIVED = 8000
# So many others are old enough for the commands, and for how many days they have been.
# A statement for most rows of a table may read all of them.
OLD, DAYS = 60 if connection.vendor == "postgresql" else 6, 50
NOBODYS = "http://127.0.0.1:9/"
SHARED = "shared"
SPENDERS = 2000
LARGE_BUDGET = {"period": "month", "cost": 1_000_000}


async def agent(turn: Turn) -> None:
    """Do what the message says."""
    match turn.text:
        case "ask":
            await turn.input_required("Which one?")
        case "fail":
            raise ValueError("broken")
        case "approve":
            await turn.approve("Really?", permission="shop.refund")
        case "wait":
            await turn.working("Soon.")
            await turn.input_required("Which one?")
        case _:
            artifact = turn.open_artifact()
            for _ in range(2):
                await artifact.write("x")
            await turn.usage("gpt", input_tokens=3, cost=1)
            await turn.complete("Here you are.")


@pytest.fixture
def client(a2a: ChangeSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[OperationsClient]:
    a2a(
        TOTAL_SIZE_LIMIT=COUNTED,
        BUDGETS=[{**LARGE_BUDGET, "per": "caller"}, {**LARGE_BUDGET, "per": "agent"}],
        PUSH_HOSTS=["127.0.0.1"],
        PUSH_ALLOW_HTTP=True,
        RAW_LIMIT=1000,
        ANONYMOUS="share",
    )
    for module, name in BOUNDS:
        monkeypatch.setattr(module, name, COUNTED)
    with client_of(agent, slug="planned", idempotent=True) as made:
        yield made


async def fill(client: OperationsClient) -> None:
    """Store tens of thousands of tasks of all kinds, and let the database look at them."""
    await database.run(_empty)
    for number in range(SEEDS):
        context_id = SHARED if number % 2 else ""
        hook = TaskPushNotificationConfig(id="hook", url=NOBODYS) if number % 2 else None
        parts = [Part(text="work"), *([Part(raw=b"x" * 2000)] if number % 3 else [])]
        message = new_message(context_id=context_id).model_copy(update={"parts": parts})
        await client.send(message, task_push_notification_config=hook)
    await copy(Peer("a2a_app", url(), ()), COPIES)
    for rare in ("ask", "fail", "approve"):
        await client.send(new_message(rare, context_id=SHARED))
    # On a busy machine it takes longer than a unit of work of ours may.
    await sync_to_async(_share)()


def _empty() -> None:
    # What other tests have deleted still has room in the files, and plans go by their size.
    if connection.vendor == "postgresql":
        with connections[database.alias()].cursor() as cursor:
            cursor.execute("TRUNCATE a2a_app_context, a2a_app_archive, a2a_app_storedbytes CASCADE")


def _share() -> None:
    """Put half of the tasks into one conversation, end most deliveries, and count anew.

    A few tasks are old. In most of their conversations nothing else is left.
    """
    [shared] = models.Context.objects.filter(context_id=SHARED).values_list("pk", flat=True)
    half = models.Task.objects.filter(pk__gte=UUID(int=1 << 127))
    half.update(context=shared)
    models.PushNotificationConfig.objects.filter(pk__gte=UUID(int=1 << 124)).update(due_at=None)
    long_ago = timezone.now() - timedelta(days=2 * DAYS)
    oldest = models.Task.objects.order_by("pk").values_list("pk", flat=True)[:OLD]
    old = models.Task.objects.filter(pk__in=list(oldest))
    models.Context.objects.filter(tasks__in=old).update(created_at=long_ago)
    models.Message.objects.filter(task__in=old).update(created_at=long_ago)
    old.update(status_at=long_ago)
    refused = models.StoredBytes.objects.values_list("pk", flat=True)[:OLD]
    models.StoredBytes.objects.filter(pk__in=list(refused)).update(refused_at=long_ago)
    fill_spending(SPENDERS, days=DAYS)
    # Copies have the names of what they are copies of.
    models.File.objects.update(name=Cast("pk", CharField()))
    remember_and_archive(list(models.Task.objects.filter(status_at__gt=long_ago)[:ARCHIVED]))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


# It fills tables and plans hundreds of statements, which a busy machine takes minutes for.
@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_no_statement_reads_a_table_that_grows(
    new_connections: None, client: OperationsClient
) -> None:
    await fill(client)
    await close_connections()
    with recorded() as statements:
        task_id = await operations(client)
        await lists_of_tasks(client)
        await background()
        await sync_to_async(tour.take)(task_id, SHARED)
        await sync_to_async(commands)()
    await close_connections()
    assert len(statements.seen) > 100
    assert await sync_to_async(_faults)(statements) == []


def _faults(statements: Any) -> list[str]:
    with closing(connection):
        return faults(statements, rows=MAY_READ)


async def operations(client: OperationsClient) -> str:
    """Call every operation but ListTasks, and return the id of a task that waits."""
    await client.stream("work")
    await client.send(new_message("fail"))
    waiting = await client.send("wait")
    await client.send(new_message("wait", task_id=waiting.id))
    message = new_message("work", context_id=SHARED)
    for _ in range(2):
        await client.send(message)
    await client.send(
        new_message("wait", context_id=SHARED).model_copy(
            update={"parts": [Part(raw=b"x" * 2000, filename="large")]}
        )
    )
    for length in (None, 0, 1):
        await get_task(client.call, GetTaskRequest(id=waiting.id, history_length=length))
    with suppress(A2AError):
        await client.get(SHARED)
    await webhooks_of(client, waiting.id)
    await database.run(position_at, client.call.scope, waiting.id, 2)
    await database.run(read_messages, client.call.scope, SHARED, limit=20)
    other = await client.send("wait")
    stream = client.subscribe(other.id)
    await anext(stream)
    await client.cancel(other.id)
    assert [state(event) async for event in stream] == ["CANCELED"]
    return waiting.id


async def webhooks_of(client: OperationsClient, task_id: str) -> None:
    """Call the operations on push notification configurations."""
    hook = TaskPushNotificationConfig(id="x", task_id=task_id, url=NOBODYS)
    named = {"id": "x", "task_id": task_id}
    await push.create_push_config(client.call, hook)
    await push.get_push_config(client.call, GetTaskPushNotificationConfigRequest(**named))
    listed = ListTaskPushNotificationConfigsRequest(task_id=task_id, page_size=1)
    await push.list_push_configs(client.call, listed)
    await push.delete_push_config(client.call, DeleteTaskPushNotificationConfigRequest(**named))


async def lists_of_tasks(client: OperationsClient) -> None:
    """List tasks with each combination of filters, first pages and next ones."""
    states = [TaskState.UNSPECIFIED, TaskState.COMPLETED, TaskState.FAILED, TaskState.REJECTED]
    times = [None, timezone.now() - timedelta(days=1), timezone.now()]
    for context_id, wanted, after in itertools.product(["", SHARED, "none"], states, times):
        asked = {
            "context_id": context_id,
            "status": wanted,
            "status_timestamp_after": after,
            "include_artifacts": wanted is not TaskState.FAILED,
            "history_length": None if after else 1,
        }
        page = await list_tasks(client.call, ListTasksRequest(page_size=2, **asked))
        if page.next_page_token:
            asked["page_token"] = page.next_page_token
            await list_tasks(client.call, ListTasksRequest(page_size=2, **asked))


async def background() -> None:
    """Do once what every process does again and again."""
    failures.note("ValueError: broken")
    worker = runners.current()
    await worker.sweep()
    await database.read(waiting.count_by_agent, ["planned"])
    search = partial(waiting.find_waiting, limit=10, room=Shares[str](1), in_turn=True)
    await database.run(search, agents=["planned"], after=1 << 62)
    await database.run(limits.taken_places, 1)
    await database.run(waiting.overdue, agents=["planned"], patience=timedelta(0), limit=10)
    await database.run(runs.renew, "one", keys := [uuid4(), uuid4()], lease=timedelta(seconds=9))
    await database.run(runs.give_back, "one")
    await database.run(read_positions, keys)
    await deliver_to_webhooks()


async def deliver_to_webhooks() -> None:
    """Claim what is due, the oldest and then in turn by owner, and do all that is done with it."""
    lease = timedelta(seconds=9)
    alone, contended = deliveries.Room(Shares(50)), deliveries.Room(Shares(5))
    while not contended.is_contended:
        contended.take(1, "example.com")
    for room in (alone, contended):
        claimed = await database.run(
            deliveries.claim_due, "one", limit=5, lease=lease, room=room, after=0
        )
        assert claimed.deliveries
        for delivery in claimed.deliveries:
            await database.run(deliveries.settle, delivery, delivery.delivered)
            second = timedelta(seconds=1)
            await database.run(
                deliveries.postpone, delivery, "It failed.", pause=second, patience=second
            )
            await database.run(deliveries.give_up, delivery, "It failed.")
            await database.run(owners.is_active, delivery.scope.owner)
    await database.run(deliveries.release, "one")


def commands() -> None:
    """Archive the logs of old tasks, read one, and delete some of the tasks, and then all."""
    with closing(connections["default"]):
        called("a2a_archive", "--days", DAYS, "--storage", "memory")
        oldest = models.ArchivedLog.objects.order_by("pk").values_list("pk", flat=True)
        [kept, gone] = oldest[:2]
        called("a2a_archive", "--read", kept)
        models.Task.objects.filter(pk=gone).delete()
        called("a2a_archive", "--days", DAYS, "--storage", "memory")
        called("a2a_prune", "--days", DAYS, "--waiting-days", DAYS)
        figures.read()
        assert not models.ArchivedLog.objects.filter(pk=kept).exists()


def called(name: str, *options: object) -> None:
    """Call a command."""
    call_command(name, *map(str, options), stdout=StringIO())
