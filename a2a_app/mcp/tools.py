"""The tools of one caller: the agents that it sees, and what comes of a call to one."""

import asyncio
from contextlib import aclosing, suppress
from typing import Any

import anyio
from django.http import Http404, HttpRequest
from mcp.server import Server, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    Tool,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

import a2a_app
from a2a_app import protocol
from a2a_app.access import guarded
from a2a_app.agents import Agent, registry
from a2a_app.bindings.api import begun_agent
from a2a_app.bindings.callers import sees
from a2a_app.bindings.calls import call_of
from a2a_app.bindings.dialects import CURRENT
from a2a_app.bindings.refusals import record_refusal
from a2a_app.bindings.responders import refusal_of
from a2a_app.mcp.arguments import INPUT_SCHEMA, Arguments
from a2a_app.mcp.outcome import OUTPUT_SCHEMA, Outcome, refusal
from a2a_app.operations import OPERATIONS, Call
from a2a_app.operations.call import Caller
from a2a_app.operations.limits import note_limit
from a2a_app.operations.streams import Stream, with_file_links
from a2a_app.protocol import StreamResponse

Context = ServerRequestContext[Any]


class Tools:
    """The agents as tools, for one request of MCP."""

    def __init__(self, request: HttpRequest, caller: Caller) -> None:
        self._request, self._caller = request, caller

    def server(self) -> Server[Any]:
        """Return a server of the SDK that has these tools."""
        return Server(
            "a2a_app",
            version=a2a_app.__version__,
            on_list_tools=self._list,
            on_call_tool=self._call,
            # Otherwise the SDK would list all tools before each call.
            get_tool_input_schema=lambda name: INPUT_SCHEMA,
        )

    async def _list(
        self, context: Context, params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        grant = self._caller.grant
        return ListToolsResult(
            tools=[
                _tool(agent)
                for agent in registry
                if (grant is None or grant.is_for_agent(agent)) and await sees(grant, agent)
            ]
        )

    async def _call(self, context: Context, params: CallToolRequestParams) -> CallToolResult:
        agent = None
        try:
            agent = await begun_agent(self._request, params.name)
            return await self._ask(agent, Arguments.read(params.arguments), context)
        except Http404:
            raise MCPError(INVALID_PARAMS, f"Unknown tool: {params.name[:100]}") from None
        except protocol.A2AError as error:
            refused = error
        except Exception as error:  # the client must get no details of a fault
            refused = refusal_of(error)
        record_refusal(refused, self._request, agent)
        return refusal(refused)

    async def _ask(self, agent: Agent, arguments: Arguments, context: Context) -> CallToolResult:
        """Send a message to an agent, and return what comes of it.

        Raises:
            A2AError: The caller may not, or the agent refuses.
        """
        given = arguments.request()
        call = await call_of(self._request, agent, self._caller, CURRENT, given)
        params = await OPERATIONS["SendMessage"].checked_params(call, given)
        outcome = Outcome()
        # A task of its own, since the SDK goes on cancelling whatever its own task waits for, and a
        # stream has to be left in peace.
        work = asyncio.create_task(_follow(call, params, outcome, context))
        try:
            await work
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):
                work.cancel()
                await asyncio.wait([work])
                # In earlier versions the client may just have lost its connection.
                if context.protocol_version in MODERN_PROTOCOL_VERSIONS and outcome.task_id:
                    await _cancel(call, outcome.task_id)
            raise
        except protocol.ResourceExhaustedError as error:
            await note_limit(call.scope.owner, error)
            raise
        return outcome.result()


async def _follow(call: Call, params: Any, outcome: Outcome, context: Context) -> None:
    """Send a message, and report the progress of what it begins until that is over."""
    async with aclosing(await _opened(call, params)) as stream:
        async for items in stream:
            for item in items:
                progress = outcome.add(StreamResponse.model_validate_json(item.body))
                if progress is not None and item.seq is not None:
                    await context.session.report_progress(item.seq, message=progress or None)


async def _opened(call: Call, params: Any) -> Stream:
    """Send a message and return its stream; agents that do not stream have one too, inside."""
    streaming = OPERATIONS["SendStreamingMessage"]
    assert streaming.streaming is not None  # as its name says
    stream = with_file_links(await streaming.streaming(call, params), call.links)
    return stream if call.guard is None else guarded(stream, call.guard(OPERATIONS["SendMessage"]))


async def _cancel(call: Call, task_id: str) -> None:
    """Cancel a task whose client does not wait for it any more, if it can be cancelled."""
    operation = OPERATIONS["CancelTask"]
    assert operation.unary is not None  # it has no stream
    with suppress(protocol.A2AError):
        await operation.unary(call, await operation.checked_params(call, {"id": task_id}))


def _tool(agent: Agent) -> Tool:
    skills = [f"- {skill.name}: {skill.description}" for skill in agent.skills]
    return Tool(
        name=agent.slug,
        title=agent.name,
        description="\n".join([agent.description, *skills]),
        input_schema=INPUT_SCHEMA,
        output_schema=OUTPUT_SCHEMA,
    )
