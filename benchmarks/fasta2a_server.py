"""The load agent of the reference project, served by FastA2A, with all its tasks in memory.

Its worker does one task after the other, as FastA2A's own does.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from fasta2a import FastA2A, Worker
from fasta2a.broker import InMemoryBroker
from fasta2a.schema import Artifact, Message, TaskIdParams, TaskSendParams
from fasta2a.storage import InMemoryStorage


class Load(Worker[Any]):
    """Writes as many chunks as it is told."""

    async def run_task(self, params: TaskSendParams) -> None:
        told = json.loads(params["message"]["parts"][0]["text"])
        task_id, context_id = params["id"], params["context_id"]
        await self.storage.update_task(task_id, state="working")
        await self.publish_status(task_id, context_id, "working")
        artifact_id, chunks, parts = str(uuid4()), told.get("chunks", 1), []
        for index in range(chunks):
            text = f"{index} {time.time():.6f} ".ljust(told.get("size", 32), ".")
            parts.append({"text": text})
            chunk = Artifact(artifact_id=artifact_id, name="load", parts=parts[-1:])
            await self.publish_artifact(
                task_id, context_id, chunk, append=index > 0, last_chunk=index == chunks - 1
            )
            if "delay" in told:
                await asyncio.sleep(told["delay"])
        if told.get("end") == "hang":
            await asyncio.Event().wait()
        whole = Artifact(artifact_id=artifact_id, name="load", parts=parts)
        await self.storage.update_task(task_id, state="completed", new_artifacts=[whole])

    async def cancel_task(self, params: TaskIdParams) -> None:
        raise NotImplementedError

    def build_message_history(self, history: list[Message]) -> list[Any]:
        raise NotImplementedError

    def build_artifacts(self, result: Any) -> list[Artifact]:
        raise NotImplementedError


broker = InMemoryBroker()
storage: InMemoryStorage[Any] = InMemoryStorage()


@asynccontextmanager
async def lifespan(app: FastA2A) -> AsyncIterator[None]:
    """Run the worker beside the server."""
    async with app.task_manager, Load(broker=broker, storage=storage).run():
        yield


application = FastA2A(storage=storage, broker=broker, name="Load", lifespan=lifespan)
