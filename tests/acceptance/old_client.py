"""The official SDK's client of 0.3, told to do all that it can; run by a Python that has it.

Usage: old_client.py URL TRANSPORT. It prints what it saw, as one JSON object.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import grpc
import httpx
from a2a.client import A2ACardResolver, Client, ClientConfig, ClientFactory
from a2a.client.errors import A2AClientHTTPError, A2AClientJSONRPCError
from a2a.types import Message, Role, TaskIdParams, TaskQueryParams, TextPart

SECONDS = 20.0
NOBODYS = "00000000-0000-7000-8000-000000000000"


def told(task_id: str | None = None, **load: Any) -> Message:
    """Make a message that says to the load agent what to do."""
    return said(json.dumps(load), task_id)


def said(text: str, task_id: str | None = None) -> Message:
    """Make a message of the user's."""
    parts = [TextPart(text=text)]
    return Message(message_id=str(uuid4()), role=Role.user, parts=parts, task_id=task_id)


def shown(found: Any) -> dict[str, Any]:
    """Return an object as the SDK read it."""
    read: dict[str, Any] = found.model_dump(mode="json", by_alias=True, exclude_none=True)
    return read


class NamesAgent:
    """Adds the agent to the metadata of each call, as 0.3 has no other way to name it."""

    def __init__(self, agent: str) -> None:
        self.agent = agent

    def named(self, call: Any) -> Any:
        """Return what is known of a call, with the agent."""
        metadata = grpc.aio.Metadata(*(call.metadata or ()), ("a2a-agent", self.agent))
        return grpc.aio.ClientCallDetails(
            call.method, call.timeout, metadata, call.credentials, call.wait_for_ready
        )


class InCalls(NamesAgent, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, go_on: Any, call: Any, request: Any) -> Any:
        return await go_on(self.named(call), request)


class InStreams(NamesAgent, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(self, go_on: Any, call: Any, request: Any) -> Any:
        return await go_on(self.named(call), request)


class Breaking(httpx.AsyncHTTPTransport):
    """Sends another body in place of each that goes out."""

    def __init__(self, change: Callable[[bytes], bytes]) -> None:
        super().__init__(verify=False)
        self.change = change

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; one without a body as it is."""
        if request.content:
            headers = {k: v for k, v in request.headers.items() if k.lower() != "content-length"}
            content = self.change(request.content)
            request = httpx.Request(request.method, request.url, headers=headers, content=content)
        return await super().handle_async_request(request)


class Report:
    """What the client saw, by the name of what was asked."""

    def __init__(self, base_url: str, transport: str) -> None:
        self.base_url = base_url
        self.transport = transport
        self.http = httpx.AsyncClient(timeout=SECONDS, verify=False)

    async def client(self, agent: str, *, streaming: bool, polling: bool = False) -> Client:
        """Make a client of an agent from its card."""
        card = await A2ACardResolver(self.http, f"{self.base_url}/a2a/{agent}").get_agent_card()
        if self.transport == "GRPC":
            # The card of an agent that is not the site's has no interface of gRPC.
            card.url, card.preferred_transport = self.grpc_url, "GRPC"
        named = [InCalls(agent), InStreams(agent)]
        config = ClientConfig(
            httpx_client=self.http,
            grpc_channel_factory=lambda url: grpc.aio.insecure_channel(url, interceptors=named),
            supported_transports=[self.transport],
            streaming=streaming,
            polling=polling,
        )
        return ClientFactory(config).create(card)

    async def write(self) -> dict[str, Any]:
        """Do everything, and return what was seen."""
        return {
            "card": await self.card(),
            "sent": await self.sent(),
            "streamed": await self.streamed(),
            "yielded": await self.yielded(),
            "conversation": await self.conversation(),
            "resubscribed and canceled": await self.resubscribed(),
            "errors": await self.errors(),
            "faults": {} if self.transport == "GRPC" else await self.faults(),
        }

    async def card(self) -> dict[str, Any]:
        """Read the card of the site, where clients of 0.3 looked at first."""
        resolver = A2ACardResolver(self.http, self.base_url, "/.well-known/agent.json")
        card = await resolver.get_agent_card()
        urls = {each.transport: each.url for each in card.additional_interfaces}
        self.grpc_url = urls["GRPC"]
        return shown(card)

    async def sent(self) -> dict[str, Any]:
        """Send a message, wait for the answer, and get the task."""
        client = await self.client("load", streaming=False)
        [(task, _)] = [item async for item in client.send_message(told(chunks=2))]
        found = await client.get_task(TaskQueryParams(id=task.id))
        brief = await client.get_task(TaskQueryParams(id=task.id, history_length=0))
        return {"sent": shown(task), "found": shown(found), "brief": shown(brief)}

    async def streamed(self) -> list[dict[str, Any]]:
        """Send a message and stream its task."""
        client = await self.client("load", streaming=True)
        return [shown(update or task) async for task, update in client.send_message(told(chunks=3))]

    async def yielded(self) -> list[dict[str, Any]]:
        """Stream from a generator, and return the artifacts that the SDK puts together."""
        client = await self.client("echo", streaming=True)
        tasks = [task async for task, _ in client.send_message(said("Lisbon is lovely"))]
        return [shown(artifact) for artifact in tasks[-1].artifacts]

    async def conversation(self) -> list[str]:
        """Answer what the agent asks."""
        client = await self.client("travel-desk", streaming=True)
        states, task_id, state = [], None, ""
        for text in ("Plan a trip", "Lisbon", "2"):
            async for task, _ in client.send_message(said(text, task_id)):
                task_id, state = task.id, task.status.state.value
            states.append(state)
        return states

    async def resubscribed(self) -> dict[str, Any]:
        """Begin a task, come back to its stream, and cancel it."""
        starter = await self.client("load", streaming=False, polling=True)
        [(begun, _)] = [item async for item in starter.send_message(told(end="hang"))]
        client = await self.client("load", streaming=True)
        events: AsyncIterator[Any] = client.resubscribe(TaskIdParams(id=begun.id))
        first = shown((await anext(events))[0])
        canceled = await client.cancel_task(TaskIdParams(id=begun.id))
        rest = [shown(update) async for _, update in events if update]
        return {
            "begun": begun.status.state.value,
            "first": first,
            "canceled": shown(canceled),
            "last": rest[-1],
        }

    async def errors(self) -> dict[str, Any]:
        """Ask for what is refused, and return each error as the client reads it."""
        client = await self.client("load", streaming=True)
        asked = {
            "getting": client.get_task(TaskQueryParams(id=NOBODYS)),
            "canceling": client.cancel_task(TaskIdParams(id=NOBODYS)),
            "streaming": anext(client.send_message(said("hello", NOBODYS))),
            "resubscribing": anext(client.resubscribe(TaskIdParams(id=NOBODYS))),
        }
        return {name: await self.code_of(call) for name, call in asked.items()}

    async def faults(self) -> dict[str, Any]:
        """Ask so that nothing can be read, and an agent that breaks."""
        seen = {}
        for name, change in (
            ("cut off", lambda body: b"{"),
            ("of another version", lambda body: body.replace(b'"2.0"', b'"1.0"')),
        ):
            report = Report(self.base_url, self.transport)
            report.http = httpx.AsyncClient(timeout=SECONDS, transport=Breaking(change))
            client = await report.client("load", streaming=False)
            seen[name] = await self.code_of(anext(client.send_message(said("{}"))))
        client = await self.client("mistaken", streaming=False)
        seen["broken"] = await self.code_of(anext(client.send_message(said("break"))))
        return seen

    async def code_of(self, call: Any) -> Any:
        """Return the code of the error that a call raises, as the client reads it."""
        try:
            await call
        except A2AClientJSONRPCError as error:
            return error.error.code
        except A2AClientHTTPError as error:
            return error.status_code
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return None


async def main(base_url: str, transport: str) -> None:
    async with asyncio.timeout(4 * SECONDS):
        report = await Report(base_url, transport).write()
    sys.stdout.write(json.dumps(report))


asyncio.run(main(*sys.argv[1:]))
