"""The sweep: a part of it that fails keeps no other from its work."""

from typing import NoReturn

import pytest

from a2a_app import database, models, runners
from a2a_app.agents import Turn
from a2a_app.models.owners import Scope
from a2a_app.protocol import TaskState
from a2a_app.testing import agent_for_test
from tests.sleepers import until
from tests.tasks import begin

pytestmark = pytest.mark.usefixtures("runtime")


def accepts(revision: str) -> NoReturn:
    raise ValueError(revision)


async def agent(turn: Turn) -> str:
    return "begun"


async def test_an_agent_that_raises_as_its_code_is_compared_keeps_no_other_waiting() -> None:
    spoilt = agent_for_test(agent, slug="spoilt", revision="2", accepts_revisions=accepts)
    with spoilt, agent_for_test(agent, slug="sound"):
        await database.run(begin, scope=Scope("spoilt", ""))
        await database.run(lambda: models.Run.objects.update(revision="1"))
        sound = (await database.run(begin, scope=Scope("sound", ""))).head.task_id
        with pytest.raises(ExceptionGroup, match="sweep"):
            await runners.current().sweep()
        ended = models.Task.objects.filter(pk=sound, state=TaskState.COMPLETED.value)
        assert await until(ended.exists)
