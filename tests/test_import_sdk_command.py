"""`manage.py a2a_import_sdk`, with tables that the official SDK has written."""

import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from a2a.auth.user import User as SDKUser
from a2a.compat.v0_3.model_conversions import core_to_compat_task_model
from a2a.server.context import ServerCallContext
from a2a.server.tasks import DatabaseTaskStore
from a2a.types import a2a_pb2 as pb
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from sqlalchemy import URL
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import create_async_engine

from a2a_app import models
from a2a_app.agents import Turn
from a2a_app.protocol import TaskState, UnsupportedOperationError
from tests.clients.operations import OperationsClient, client_of
from tests.tasks import new_message
from tests.threads import in_thread

pytestmark = pytest.mark.usefixtures("runtime")

STATES = ("COMPLETED", "WORKING", "INPUT_REQUIRED")


class Ann(SDKUser):
    """A user as the SDK's server knows one."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def user_name(self) -> str:
        return self._name


def sdk_task(state: str) -> pb.Task:
    """Return a task as the SDK's server has it, with two turns."""
    task = pb.Task(id=str(uuid4()), context_id="talk")
    for index, (role, text) in enumerate([("USER", "hi"), ("AGENT", "Which?"), ("USER", "that")]):
        task.history.add(
            message_id=f"{task.id}-{index}", role=f"ROLE_{role}", parts=[pb.Part(text=text)]
        )
    task.artifacts.add(artifact_id="a", parts=[pb.Part(text="done")])
    task.status.state = pb.TaskState.Value(f"TASK_STATE_{state}")
    task.status.timestamp.FromJsonString("2026-01-02T03:04:05Z")
    task.metadata.update({"k": "v"})
    return task


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    """Yield the URL of a database, of the kind that the tests use, for a table of the SDK."""
    if connection.vendor == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'sdk.db'}"
        return
    of = connection.settings_dict
    there = {"host": of["HOST"], "port": of["PORT"], "user": of["USER"], "password": of["PASSWORD"]}
    url = URL.create(
        "postgresql+psycopg", database=of["NAME"], query={k: str(v) for k, v in there.items() if v}
    )
    yield url.render_as_string(hide_password=False)
    await change(url, "DROP TABLE tasks")


async def change(url: URL | str, *statements: str) -> None:
    engine = create_async_engine(url)
    async with engine.begin() as sdk:
        for statement in statements:
            await sdk.execute(sql(statement))
    await engine.dispose()


async def store_by_the_sdk(url: str, tasks: list[pb.Task], owner: str, **more: Any) -> None:
    engine = create_async_engine(url)
    store = DatabaseTaskStore(engine, **more)
    for task in tasks:
        await store.save(task, ServerCallContext(user=Ann(owner)))
    await engine.dispose()


async def drop_columns_of_1_0(url: str) -> None:
    """Leave the columns that tables of the SDK 0.3 have."""
    indexes = ("ix_tasks_owner", "idx_tasks_owner_last_updated")
    columns = ("owner", "last_updated", "protocol_version")
    await change(
        url,
        *(f"DROP INDEX IF EXISTS {each}" for each in indexes),
        *(f"ALTER TABLE tasks DROP COLUMN {each}" for each in columns),
    )


async def run_import(url: str, agent: str, *more: str) -> str:
    printed = io.StringIO()

    def call() -> None:
        call_command(
            "a2a_import_sdk", url, "--agent", agent, *more, stdout=printed, stderr=io.StringIO()
        )

    await in_thread(call)
    return printed.getvalue()


async def agent(turn: Turn) -> str:
    return f"{turn.text} at turn {turn.number}"


@pytest.mark.slow
@pytest.mark.parametrize("version", ["1.0", "0.3"])
async def test_tasks_of_the_sdk_are_read_listed_and_gone_on_with_as_if_they_were_ours(
    url: str, version: str
) -> None:
    user = await sync_to_async(User.objects.create_user)("ann")
    old = {"core_to_model_conversion": core_to_compat_task_model} if version == "0.3" else {}
    tasks = [sdk_task(state) for state in STATES]
    await store_by_the_sdk(url, tasks, "ann", **old)
    whose = []
    if version == "0.3":
        await drop_columns_of_1_0(url)
        whose = ["--owner", f"user:{user.pk}"]
    with client_of(agent) as registered:
        slug = registered.call.agent.slug
        assert "Would import: 3 tasks" in await run_import(url, slug, "--dry-run", *whose)
        assert not await models.Task.objects.aexists()
        assert "Imported: 3 tasks" in await run_import(url, slug, *whose)
        assert "Imported: 3 there already" in await run_import(url, slug)
        client = OperationsClient(registered.call.agent, f"user:{user.pk}")
        completed, failed, waiting = [await client.get(task.id) for task in tasks]
        assert completed.status.state is TaskState.COMPLETED
        assert completed.status.timestamp is not None
        assert completed.status.timestamp.isoformat() == "2026-01-02T03:04:05+00:00"
        assert [each.text for each in completed.history] == ["hi", "Which?", "that"]
        assert completed.artifacts[0].parts[0].text == "done"
        assert completed.metadata == {"k": "v"} and completed.context_id == "talk"
        with pytest.raises(UnsupportedOperationError):
            await anext(client.subscribe(completed.id))
        assert failed.status.state is TaskState.FAILED
        assert failed.status.message is not None and "was moved" in failed.status.message.text
        assert waiting.status.state is TaskState.INPUT_REQUIRED
        assert not await models.Run.objects.filter(ended_at=None).aexists()
        answer = new_message("this", task_id=waiting.id, context_id="talk")
        done = await client.send(answer)
    assert done.status.state is TaskState.COMPLETED
    assert done.artifacts[-1].parts[0].text == "this at turn 3"


async def test_tasks_of_owners_who_are_no_users_need_a_word_whose_they_become(url: str) -> None:
    task = sdk_task("COMPLETED")
    await store_by_the_sdk(url, [task], "robot")
    with client_of(agent) as registered:
        slug = registered.call.agent.slug
        assert "1 of nobody who is known" in await run_import(url, slug)
        assert "1 tasks" in await run_import(url, slug, "--names")
        found = await OperationsClient(registered.call.agent, "name:robot").get(task.id)
    assert found.status.state is TaskState.COMPLETED


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--table", "nothing"], "NoSuchTableError('nothing')"),
        (["--owner", "user:99"], "There is no user '99'"),
        (["--owner", "user:ann"], "There is no user 'ann'"),
    ],
)
async def test_what_cannot_be_read_is_named_and_nothing_is_stored(
    tmp_path: Path, options: list[str], said: str
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'sdk.db'}"
    await store_by_the_sdk(url, [sdk_task("COMPLETED")], "robot")
    with client_of(agent) as registered, pytest.raises(CommandError, match=re.escape(said)):
        await run_import(url, registered.call.agent.slug, *options)
    assert not await models.Task.objects.aexists()


@pytest.mark.parametrize("url", ["nonsense", "sqlite:///sdk.db", "postgresql+none://host/name"])
async def test_a_url_that_the_engine_does_not_take_is_named(url: str) -> None:
    with client_of(agent) as registered, pytest.raises(CommandError, match="cannot be opened"):
        await run_import(url, registered.call.agent.slug)
