"""The load agent of the reference project, served by the official SDK.

Its store is in memory, or where SDK_DATABASE_URL is set, in a database that several servers share:
the SDK's cluster mode. With SDK_ALONE set too, it is the SDK's plain store for one server.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from a2a.helpers import new_task
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.cluster import DatabaseTaskEventStream, VersionedDatabaseTaskStore
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_jsonrpc_routes
from a2a.server.tasks import DatabaseTaskStore, InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, Part, TaskState
from sqlalchemy.ext.asyncio import create_async_engine
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
        told = json.loads(context.get_user_input())
        chunks = told.get("chunks", 1)
        for index in range(chunks):
            await updater.add_artifact(
                [Part(text=f"{index} {time.time():.6f} ".ljust(told.get("size", 32), "."))],
                artifact_id="load",
                name="load",
                append=index > 0,
                last_chunk=index == chunks - 1,
            )
            if "delay" in told:
                await asyncio.sleep(told["delay"])
        await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        raise NotImplementedError


def stores() -> dict[str, Any]:
    """Give what the handler keeps tasks in, and what tells other servers of them."""
    url = os.environ.get("SDK_DATABASE_URL")
    if not url:
        return {"task_store": InMemoryTaskStore()}
    engine = create_async_engine(url)
    if os.environ.get("SDK_ALONE"):
        return {"task_store": DatabaseTaskStore(engine)}
    return {
        "task_store": VersionedDatabaseTaskStore(engine),
        "event_stream": DatabaseTaskEventStream(engine),
    }


kept = stores()


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Make the tables before there are requests, which would do so all at once."""
    for each in kept.values():
        if hasattr(each, "initialize"):
            await each.initialize()
    yield


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
handler = DefaultRequestHandler(agent_executor=Load(), agent_card=card, **kept)
application = Starlette(routes=create_jsonrpc_routes(handler, "/"), lifespan=lifespan)
