"""PydanticAIAgent: an agent of Pydantic AI, served over A2A."""

from collections.abc import AsyncIterable, Sequence
from decimal import Decimal
from typing import Any, get_args

from a2a_app.agents import Message, Part, Role, Turn
from a2a_app.concurrency.hooks import call_hook
from a2a_app.contrib.exchange import Exchange, ForRun, FrameworkAgent, Given, ToolCall, Tools

try:
    from pydantic_ai import (
        BinaryContent,
        DeferredToolRequests,
        DeferredToolResults,
        DocumentUrl,
        FilePart,
        FunctionToolCallEvent,
        FunctionToolResultEvent,
        ImageUrl,
        ModelMessage,
        ModelMessagesTypeAdapter,
        ModelRequest,
        ModelResponse,
        PartDeltaEvent,
        PartStartEvent,
        TextPart,
        TextPartDelta,
        UserContent,
        UserPromptPart,
        capture_run_messages,
    )
    from pydantic_ai.agent import AbstractAgent
    from pydantic_ai.run import AgentRunResult
except ImportError as error:
    raise ImportError(
        "a2a_app.contrib.pydantic_ai needs Pydantic AI: "
        "pip install 'django-agent2agent[pydantic-ai]'"
    ) from error


class PydanticAIAgent(FrameworkAgent):
    """An agent of Pydantic AI: `agent(PydanticAIAgent(my_agent), name="Weather")`.

    Its text is streamed as one artifact, and other output is data. What it and the client have said
    is remembered in the conversation. Tools that require approval ask the client.
    """

    memory = "pydantic_ai"

    def __init__(
        self,
        agent: AbstractAgent[Any, Any],
        *,
        deps: ForRun = None,
        tools: Tools = None,
        remembers: bool = True,
    ) -> None:
        """Wrap an agent.

        Args:
            agent: The agent of Pydantic AI.
            deps: Takes the turn and returns the dependencies of the run. None: there are none.
            tools: How clients see the tools that it calls.
            remembers: Whether it knows the earlier turns of a conversation.
        """
        super().__init__(agent.name, None, tools=tools, remembers=remembers)
        self.agent = agent
        self.deps = deps
        # Where no output is text, the model's text is the JSON of one, or a thought on the way.
        self._says_text = _has_text(agent.output_type)

    async def run(self, turn: Turn) -> None:
        """Let the agent answer a turn."""
        exchange = self.exchange(turn)
        recalled = await exchange.recall()
        if recalled:
            history = ModelMessagesTypeAdapter.validate_python(recalled["messages"])
        else:
            history = [_as_history(each) for each in await exchange.earlier_messages()]
        with capture_run_messages() as messages:
            try:
                result = await self._run(exchange, history, (recalled or {}).get("waiting", []))
            finally:
                await _record_usage(exchange, messages, {each.run_id for each in history})
        for each in _files(result.new_messages()):
            await turn.artifact(each, name=each.filename)
        approvals = _approvals(result.output)
        said = ModelMessagesTypeAdapter.dump_python(result.all_messages(), mode="json")
        exchange.remember(
            {"messages": said, "waiting": [each.id for each in approvals]}, waits=bool(approvals)
        )
        if approvals:
            await exchange.ask_for_approval(approvals)
        else:
            await exchange.say_result(_sayable(result.output))

    async def _run(
        self, exchange: Exchange, history: list[ModelMessage], waiting: list[str]
    ) -> AgentRunResult[Any]:
        """Answer a message, and say of each call that waits whether it may be made."""
        is_answer = exchange.is_answer
        # Where another task of the conversation has come first, its message approves nothing.
        approvals: dict[str, Any] = {
            each: is_answer and exchange.approves(each) for each in waiting
        }
        prompt = None if is_answer else [_as_content(each) for each in await exchange.prompt()]
        deps = await call_hook(self.deps, exchange.turn) if self.deps else None

        async def listen(context: Any, events: AsyncIterable[Any]) -> None:
            async for event in events:
                await _tell(exchange, event, self._says_text)

        return await self.agent.run(
            prompt,
            message_history=history,
            deferred_tool_results=DeferredToolResults(approvals=approvals) if approvals else None,
            deps=deps,
            event_stream_handler=listen,
        )


def _has_text(output_type: Any) -> bool:
    """Tell whether text is among the types that an agent may return."""
    is_list = isinstance(output_type, list | tuple)
    options = output_type if is_list else get_args(output_type)
    return output_type is str or any(_has_text(each) for each in options)


async def _tell(exchange: Exchange, event: Any, says_text: bool) -> None:
    match event:
        case PartStartEvent(part=TextPart(content=text)) if says_text:
            exchange.end_paragraph()
            await exchange.say(text)
        case PartDeltaEvent(delta=TextPartDelta(content_delta=text)) if says_text:
            await exchange.say(text)
        case FunctionToolCallEvent(part=call):
            await exchange.tool_called(ToolCall(call.tool_call_id, call.tool_name, call.args))
        case FunctionToolResultEvent(part=returned):
            await exchange.tool_returned(
                returned.tool_call_id, returned.tool_name or "", returned.content
            )


async def _record_usage(
    exchange: Exchange, messages: Sequence[ModelMessage], earlier_runs: set[str | None]
) -> None:
    """Record what a run has used, also where it failed or was cancelled."""
    for message in messages:
        if isinstance(message, ModelResponse) and message.run_id not in earlier_runs:
            used = message.usage
            await exchange.used(
                message.model_name, used.input_tokens, used.output_tokens, _cost(message)
            )


def _cost(response: ModelResponse) -> Decimal | None:
    try:
        return response.cost().total_price
    except (LookupError, ValueError, AssertionError):  # nobody knows the price of this model
        return None


def _approvals(output: Any) -> list[ToolCall]:
    if not isinstance(output, DeferredToolRequests):
        return []
    return [ToolCall(each.tool_call_id, each.tool_name, each.args) for each in output.approvals]


def _as_content(given: Given) -> UserContent:
    if given.text is not None:
        return given.text
    if not given.url:
        return BinaryContent(given.content, media_type=given.media_type)
    kind = ImageUrl if given.media_type.startswith("image/") else DocumentUrl
    return kind(given.url, media_type=given.media_type)


def _as_history(message: Message) -> ModelMessage:
    if message.role is Role.AGENT:
        return ModelResponse(parts=[TextPart(message.text)])
    return ModelRequest(parts=[UserPromptPart(message.text)])


def _files(messages: Sequence[ModelMessage]) -> list[Part]:
    """Return the files that the model has made."""
    return [
        _file_part(part.content)
        for message in messages
        if isinstance(message, ModelResponse)
        for part in message.parts
        if isinstance(part, FilePart)
    ]


def _file_part(content: BinaryContent) -> Part:
    return Part(raw=content.data, media_type=content.media_type, filename=content.identifier)


def _sayable(output: Any) -> Any:
    return _file_part(output) if isinstance(output, BinaryContent) else output
