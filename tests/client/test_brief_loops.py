"""Code without `async` that asks agents: its event loop ends, and their turns go on."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Permission, User

from a2a_app import models, runners
from a2a_app.agents import Turn
from a2a_app.operations.approvals import decide
from a2a_app.protocol import TaskState
from a2a_app.runners.loops import wait_for_background
from tests.approvals import PERMISSION
from tests.clients.operations import client_of
from tests.servers import Database, fresh_database, managed
from tests.threads import in_thread

BEGIN = """
import json
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from a2a_app import models
from a2a_app.client import RemoteAgent

user = User.objects.create_user("ann")
said = json.dumps({"chunks": 3, "delay": 0.2})

def calls(code):
    async def called(*given):
        async with RemoteAgent("load", user=user) as agent:
            return await code(agent, *given)
    return async_to_sync(called)

@calls
async def end_of(agent, task_id):
    async for _ in agent.subscribe(task_id):
        pass
    return (await agent.get(task_id)).state.name
"""
LEFT = """
@calls
async def begin(agent):
    return await agent.send(said, return_immediately=True)

print(end_of(begin().task.id), models.Run.objects.values("worker").distinct().count())
"""
READ = """
@calls
async def read(agent):
    events = [event async for event in agent.stream(said)]
    parts = [part for event in events if event.task is None for part in event.parts]
    return [part.text.split()[0] for part in parts], events[-1].state.name

print(*read())
"""
LEFT_READING = """
@calls
async def begin(agent):
    async for event in agent.stream(said):
        return event.task

print(end_of(begin().id))
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def env(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    database: Database = request.param
    with fresh_database(database) as url:
        yield {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"}


def printed(env: dict[str, str], code: str) -> str:
    return managed(env, "shell", "--verbosity", "0", "-c", BEGIN + code).strip()


def test_a_turn_goes_on_after_the_call_that_has_begun_it(env: dict[str, str]) -> None:
    assert printed(env, LEFT) == "COMPLETED 1"


def test_a_stream_is_read_to_its_end(env: dict[str, str]) -> None:
    assert printed(env, READ) == "['0', '1', '2'] COMPLETED"


def test_a_stream_that_is_left_ends_no_turn(env: dict[str, str]) -> None:
    assert printed(env, LEFT_READING) == "COMPLETED"


async def close_runner() -> None:
    await runners.current().close()
    runners.current().forget_worker()


@pytest.fixture
async def lasting_loop(runtime: None) -> AsyncIterator[None]:
    """Let nothing go on after the test on the loop that lasts."""
    yield
    await asyncio.to_thread(wait_for_background, close_runner)


@pytest.mark.slow
async def test_a_turn_that_goes_on_after_a_decision_outlives_its_call(lasting_loop: None) -> None:
    decided = asyncio.Event()
    here = asyncio.get_running_loop()

    async def asks(turn: Turn) -> str:
        decision = await turn.approve("Refund?", permission=PERMISSION)
        await asyncio.to_thread(asyncio.run_coroutine_threadsafe(decided.wait(), here).result)
        return decision.choice

    with client_of(asks) as client:
        task = await client.send()
        approval = await models.Approval.objects.aget()
        user = await User.objects.acreate(username="ann")
        await user.user_permissions.aadd(
            await Permission.objects.aget(codename=PERMISSION.partition(".")[2])
        )
        await in_thread(async_to_sync(decide), approval.pk, "yes", user=user)
        stream = client.subscribe(task.id)
        events = [await anext(stream)]  # before the turn can end
        decided.set()
        events += [event async for event in stream]
        ended = await client.get(task.id)
    assert ended.status.state is TaskState.COMPLETED, events
    assert ended.artifacts[0].parts[0].text == "yes"
