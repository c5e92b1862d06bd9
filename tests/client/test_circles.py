"""Agents that ask each other in a circle over HTTP."""

import json

import pytest

from a2a_app.agents import TaskState
from a2a_app.agents.durable.errands import depth_of
from a2a_app.agents.durable.peers import DEPTH
from a2a_app.client import RemoteAgent
from tests.conftest import ChangeSettings
from tests.servers import fresh_database, web_server


async def test_agents_that_ask_each_other_in_a_circle_over_http_are_stopped(
    a2a: ChangeSettings,
) -> None:
    with fresh_database("sqlite") as url:
        process = web_server("daphne", database_url=url, MAX_ASK_DEPTH=2)
        itself = {"next": {"URL": f"{process.url}/a2a/relay"}}
        given = json.loads(process.env["A2A_SETTINGS"])
        process.env["A2A_SETTINGS"] = json.dumps({**given, "REMOTE_AGENTS": itself})
        process.start()
        try:
            a2a(REMOTE_AGENTS=itself)
            async with RemoteAgent("next") as relay:
                assert (await relay.send("Ask.")).state is TaskState.FAILED
                states = [task.state async for task in relay.list()]
        finally:
            process.kill()
    assert states == [TaskState.FAILED] * 3


@pytest.mark.parametrize(
    ("said", "depth"),
    [(2, 2), (2.0, 2), (0, 0), (-1, 0), (float("inf"), 0), (float("nan"), 0), ("2", 0), (None, 0)],
)
def test_a_depth_is_a_number_above_0_whatever_has_written_it(said: object, depth: int) -> None:
    assert depth_of({DEPTH: said}) == depth
