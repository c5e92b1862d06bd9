"""CancelTask (section 3.1.5): which tasks it refuses."""

import pytest

from a2a_app.agents import Turn
from a2a_app.protocol import TaskNotCancelableError, TaskState
from tests.clients.operations import client_of

pytestmark = pytest.mark.usefixtures("runtime")


async def test_an_agent_that_cannot_be_stopped_is_not_canceled() -> None:
    async def agent(turn: Turn) -> None:
        await turn.input_required("?")

    with client_of(agent, cancelable=False) as client:
        task = await client.send()
        with pytest.raises(TaskNotCancelableError):
            await client.cancel(task.id)


async def test_a_completed_task_is_not_canceled() -> None:
    async def agent(turn: Turn) -> None:
        return

    with client_of(agent) as client:
        task = await client.send()
        with pytest.raises(TaskNotCancelableError):
            await client.cancel(task.id)
        assert (await client.get(task.id)).status.state is TaskState.COMPLETED
