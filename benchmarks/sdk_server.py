"""The load agent of the reference project, served by the official SDK.

Its store is in memory, or in the database that SDK_DATABASE_URL names. With SDK_CLUSTER several
servers share the database, in the SDK's cluster mode. With SDK_PUSH it sends to webhooks.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
from a2a.helpers import new_task
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.cluster import DatabaseTaskEventStream, VersionedDatabaseTaskStore
from a2a.server.context import ServerCallContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_jsonrpc_routes
from a2a.server.tasks import (
    BasePushNotificationSender,
    DatabasePushNotificationConfigStore,
    DatabaseTaskStore,
    InMemoryPushNotificationConfigStore,
    InMemoryTaskStore,
    PushNotificationConfigStore,
    TaskUpdater,
)
from a2a.types import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    ListTasksRequest,
    Part,
    Task,
    TaskState,
)
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


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
        if told.get("end") == "hang":
            await asyncio.Event().wait()
        await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        raise NotImplementedError


url = os.environ.get("SDK_DATABASE_URL")
engine = create_async_engine(url) if url else None


def stores() -> dict[str, Any]:
    """Return the handler's store, and in cluster mode its event stream between servers."""
    if engine is None:
        return {"task_store": InMemoryTaskStore()}
    if not os.environ.get("SDK_CLUSTER"):
        return {"task_store": DatabaseTaskStore(engine)}
    return {
        "task_store": VersionedDatabaseTaskStore(engine),
        "event_stream": DatabaseTaskEventStream(engine),
    }


def webhooks() -> dict[str, Any]:
    """Return the handler's parts for webhooks. Without them no event is checked for one."""
    if not os.environ.get("SDK_PUSH"):
        return {}
    configs: PushNotificationConfigStore = (
        InMemoryPushNotificationConfigStore()
        if engine is None
        else DatabasePushNotificationConfigStore(engine)
    )
    sender = BasePushNotificationSender(httpx.AsyncClient(), configs)
    return {"push_config_store": configs, "push_sender": sender}


async def copy(request: Request) -> Response:
    """Copy the newest tasks in memory, as many times as the query says."""
    store, context = kept["task_store"], ServerCallContext()
    asked = ListTasksRequest(page_size=100, include_artifacts=True)
    for task in (await store.list(asked, context)).tasks:
        for _ in range(int(request.query_params["times"])):
            one = Task()
            one.CopyFrom(task)
            one.id = str(uuid4())
            await store.save(one, context)
    return Response()


kept = stores() | webhooks()


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Create the tables before requests come, which would all do so at once."""
    for each in kept.values():
        if hasattr(each, "initialize"):
            await each.initialize()
    yield


card = AgentCard(
    name="Load",
    description="Does as much work as it is told.",
    version="1.0.0",
    capabilities=AgentCapabilities(streaming=True, push_notifications=True),
    default_input_modes=["text/plain"],
    default_output_modes=["text/plain"],
    supported_interfaces=[
        AgentInterface(url="http://127.0.0.1/", protocol_binding="JSONRPC", protocol_version="1.0")
    ],
)
handler = DefaultRequestHandler(agent_executor=Load(), agent_card=card, **kept)
routes = [*create_jsonrpc_routes(handler, "/"), Route("/copy", copy, methods=["POST"])]
application = Starlette(routes=routes, lifespan=lifespan)
