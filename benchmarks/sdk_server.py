"""The load agent of the reference project, served by the official SDK with its store in memory."""

import json

from a2a.helpers import new_task
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, Part, TaskState
from starlette.applications import Starlette


class Load(AgentExecutor):
    """Writes as many chunks as it is told."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.task_id and context.context_id and context.message
        task = new_task(
            context.task_id,
            context.context_id,
            TaskState.TASK_STATE_SUBMITTED,
            history=[context.message],
        )
        await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        await updater.update_status(TaskState.TASK_STATE_WORKING)
        chunks = json.loads(context.get_user_input()).get("chunks", 1)
        for index in range(chunks):
            await updater.add_artifact(
                [Part(text=f"{index} ".ljust(32, "."))],
                artifact_id="load",
                name="load",
                append=index > 0,
                last_chunk=index == chunks - 1,
            )
        await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        raise NotImplementedError


card = AgentCard(
    name="Load",
    description="Does as much work as it is told.",
    version="1.0.0",
    capabilities=AgentCapabilities(streaming=True),
    default_input_modes=["text/plain"],
    default_output_modes=["text/plain"],
    supported_interfaces=[
        AgentInterface(url="http://127.0.0.1/", protocol_binding="JSONRPC", protocol_version="1.0")
    ],
)
handler = DefaultRequestHandler(
    agent_executor=Load(), task_store=InMemoryTaskStore(), agent_card=card
)
application = Starlette(routes=create_jsonrpc_routes(handler, "/"))
