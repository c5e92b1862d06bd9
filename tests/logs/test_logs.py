"""What a line of the log is about: in turns, requests, deliveries and receivers of signals."""

import asyncio
import json
import logging
import logging.config
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from pytest_django import Settings

from a2a_app import database, logs, runners, signals
from a2a_app.agents import Agent, Message, Turn
from a2a_app.database.away import Cause
from a2a_app.protocol import TaskPushNotificationConfig
from a2a_app.testing import AsyncClient
from tests.clients.operations import client_of
from tests.outages import logged
from tests.receiver import receiving
from tests.servers import ROOT
from tests.sites import BLOCK

pytestmark = pytest.mark.usefixtures("runtime")

SECONDS = 20
# The second one does not propagate in the tests' settings.
LOGGERS = (__name__, "a2a_app")
logger = logging.getLogger(__name__)


class Records(logging.Handler):
    """A handler with the filter, which keeps what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(logs.TaskFilter())
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.records.append(record)

    def of(self, text: str) -> Any:
        """Return the one record with this text in it."""
        [found] = [each for each in self.records if text in each.getMessage()]
        return found


@pytest.fixture
def records() -> Iterator[Records]:
    handler = Records()
    for name in LOGGERS:
        logging.getLogger(name).addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    for name in LOGGERS:
        logging.getLogger(name).removeHandler(handler)


async def asynchronous(turn: Turn) -> None:
    logger.info("on the loop")
    await asyncio.gather(asyncio.create_task(log_soon()), sync_to_async(logger.info)("in a thread"))


async def log_soon() -> None:
    logger.info("in a task")


def synchronous(turn: Turn) -> None:
    logger.info("in the agent's thread")


@pytest.mark.parametrize("agent", [asynchronous, synchronous])
async def test_what_an_agent_logs_is_about_its_task(agent: Any, records: Records) -> None:
    user = await database.run(User.objects.create, username="ann")
    async with AsyncClient(agent, user=user) as client:
        task = await client.send("hello")
        slug = client.agent.slug
    logged = [each for each in records.records if each.name == logger.name]
    assert len(logged) == (3 if agent is asynchronous else 1)
    for record in logged:
        assert record.a2a_task == task.task_id and record.a2a_context == task.context_id
        assert (record.a2a_agent, record.a2a_owner, record.a2a_tenant) == (
            slug,
            f"user:{user.pk}",
            "",
        )


class Answerer(Agent):
    """Answers without a task, or fails to."""

    async def answer(self, message: Message) -> str:
        """Log, and answer."""
        logger.info("asked")
        if message.text == "fail":
            raise ValueError
        return "answered"

    async def run(self, turn: Turn) -> None:
        """Do nothing."""


async def test_a_request_is_about_its_caller_and_what_it_names_and_nothing_after_it(
    records: Records,
) -> None:
    async with AsyncClient(Answerer) as client:
        await client.send("hello", context_id="mine")
        assert logs.subject.get() == logs.NOTHING
        with pytest.raises(Exception, match="Reference"):
            await client.send("fail", context_id="mine")
        assert logs.subject.get() == logs.NOTHING
        slug = client.agent.slug
    for record in (records.records[0], records.of("failed to answer")):
        assert (record.a2a_agent, record.a2a_task, record.a2a_context) == (slug, "", "mine")
        assert record.a2a_owner


async def test_deliveries_and_receivers_of_signals_are_about_their_task(
    records: Records, settings: Settings
) -> None:
    settings.A2A = {
        **settings.A2A,
        "PUSH_HOSTS": ["127.0.0.1"],
        "PUSH_ALLOW_HTTP": True,
        "PUSH_PATIENCE_SECONDS": 0,
    }
    told = asyncio.Event()

    async def receive(**_: Any) -> None:
        logger.info("received")
        told.set()

    signals.webhook_given_up.connect(receive)
    await runners.current().begin()
    with client_of(synchronous) as client:
        async with receiving(lambda number: 500) as receiver, asyncio.timeout(SECONDS):
            webhook = TaskPushNotificationConfig(url=receiver.url)
            task = await client.send(task_push_notification_config=webhook)
            await told.wait()
    for text in ("is given up", "received"):
        record = records.of(text)
        assert (record.a2a_task, record.a2a_agent) == (task.id, client.call.agent.slug)


async def test_what_is_said_of_a_run_that_is_given_up_is_about_its_task(records: Records) -> None:
    async def fails(turn: Turn) -> None:
        raise database.AwayError(OSError("away"), Cause.BROKEN)

    # Of whoever has it started, such as a request that is about another task.
    logs.subject.set(logs.Subject("another"))
    with client_of(fails) as client, logged("a2a_app.runners.worker") as told:
        task = await client.send(return_immediately=True)
        await asyncio.wait_for(told.wait(), SECONDS)
    assert records.of("not brought to an end").a2a_task == task.id


def test_a_client_cannot_begin_a_line_of_the_log(records: Records) -> None:
    before = logs.subject.get()
    logs.subject.set(logs.Subject(task="1\n2" + 300 * "x"))
    logger.info("forged?")
    logs.subject.set(before)
    assert records.of("forged?").a2a_task == "1\\n2" + 252 * "x"


def test_the_page_for_operators_logs_json_with_the_fields() -> None:
    page = (ROOT / "docs" / "operating.md").read_text()
    [block] = [block for block in BLOCK.findall(page) if "TaskFilter" in block]
    names: dict[str, Any] = {}
    exec(block, names)
    config, written = names["LOGGING"], StringIO()
    config["handlers"]["console"]["stream"] = written
    config["loggers"] = {"page": {**config.pop("root"), "propagate": False}}
    logging.config.dictConfig({**config, "incremental": False})
    before = logs.subject.get()
    logs.subject.set(logs.Subject(task="7", agent="echo"))
    logging.getLogger("page").info("hello")
    logs.subject.set(before)
    line = json.loads(written.getvalue())
    assert (line["message"], line["a2a_task"], line["a2a_agent"]) == ("hello", "7", "echo")


def test_the_filter_can_be_named_in_settings_which_are_read_before_any_model() -> None:
    code = "import sys, a2a_app.logs; sys.exit('django.db' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=SECONDS)
