"""OpenAIAgentsAgent: an agent of the OpenAI Agents SDK, served over A2A."""

from typing import Any

from a2a_app.agents import Message, Role, Turn
from a2a_app.concurrency.hooks import call_hook
from a2a_app.contrib.exchange import (
    Exchange,
    ForRun,
    FrameworkAgent,
    Given,
    ToolCall,
    Tools,
    jsonable,
)

try:
    from agents import (
        Agent,
        InputGuardrailTripwireTriggered,
        OutputGuardrailTripwireTriggered,
        RunContextWrapper,
        Runner,
        RunResultStreaming,
        RunState,
    )
    from agents.models import get_default_model
    from openai.types.responses import (
        ResponseOutputItemDoneEvent,
        ResponseRefusalDeltaEvent,
        ResponseTextDeltaEvent,
    )
except ImportError as error:
    raise ImportError(
        "a2a_app.contrib.openai_agents needs the OpenAI Agents SDK: "
        "pip install 'django-agent2agent[openai-agents]'"
    ) from error

# What of a model's text the client hears while it comes.
_DELTAS = (ResponseTextDeltaEvent, ResponseRefusalDeltaEvent)


class OpenAIAgentsAgent(FrameworkAgent):
    """An agent of the OpenAI Agents SDK: `agent(OpenAIAgentsAgent(my_agent), name="Triage")`.

    Its text is streamed as one artifact, and other output is data. What it and the client have said
    is remembered in the conversation. Tools that need approval ask the client; a guardrail on the
    input rejects the task, and one on the output fails it.
    """

    memory = "openai_agents"

    def __init__(
        self,
        agent: Agent[Any],
        *,
        context: ForRun = None,
        tools: Tools = None,
        remembers: bool = True,
        **options: Any,
    ) -> None:
        """Wrap an agent.

        Args:
            agent: The agent of the SDK.
            context: Takes the turn and returns the context of the run. None: there is none.
            tools: How clients see the tools that it calls.
            remembers: Whether it knows the earlier turns of a conversation.
            **options: More arguments of `Runner.run_streamed`: `max_turns`, `run_config`, `hooks`.
        """
        description = agent.handoff_description
        super().__init__(agent.name, description, tools=tools, remembers=remembers)
        self.agent = agent
        self.context = context
        self.options = options

    async def run(self, turn: Turn) -> None:
        """Let the agent answer a turn."""
        exchange = self.exchange(turn)
        recalled = await exchange.recall() or {}
        context = await call_hook(self.context, turn) if self.context else None
        given: Any
        history = await _history(exchange, recalled)
        if exchange.is_answer:
            given = await self._resumed(exchange, recalled["run"], context)
            options = self.options
        else:
            given = [*history, _item(await exchange.prompt())]
            options = {**self.options, "context": context}
        result = Runner.run_streamed(self.agent, given, **options)
        try:
            before = recalled["used"] if exchange.is_answer else (0, 0)
            await self._stream_and_count(exchange, result, before)
        except InputGuardrailTripwireTriggered as tripped:
            name = tripped.guardrail_result.guardrail.get_name()
            await turn.reject(f"The message was refused by {name}.")
        except OutputGuardrailTripwireTriggered as tripped:
            name = tripped.guardrail_result.guardrail.get_name()
            await turn.fail(f"The answer was withheld by {name}.")
        else:
            await self._end(exchange, result, history)

    async def _resumed(
        self, exchange: Exchange, saved: dict[str, Any], context: Any
    ) -> "RunState[Any, Agent[Any]]":
        """Return the run that waits for approval, with the client's decision."""
        state = await RunState.from_json(
            self.agent, saved, context_override=RunContextWrapper(context)
        )
        for wanted in state.get_interruptions():
            decide = state.approve if exchange.approves(_call(wanted).id) else state.reject
            decide(wanted)
        return state

    async def _stream_and_count(
        self, exchange: Exchange, result: RunResultStreaming, before: tuple[int, int]
    ) -> None:
        """Say what a run says, and record what it has used since `before`, however it ends."""
        try:
            await self._stream(exchange, result)
        finally:
            result.cancel()  # it runs in a task of its own, which does not end with this one
            used = result.context_wrapper.usage
            await exchange.used(
                _model_name(result.last_agent.model),
                used.input_tokens - before[0],
                used.output_tokens - before[1],
            )

    async def _stream(self, exchange: Exchange, result: RunResultStreaming) -> None:
        speaks, names = _speaks(self.agent), dict[str, str]()
        async for event in result.stream_events():
            if event.type == "agent_updated_stream_event":
                speaks = _speaks(event.new_agent)
            elif event.type == "raw_response_event":
                if speaks and isinstance(event.data, _DELTAS):
                    await exchange.say(event.data.delta)
                elif isinstance(event.data, ResponseOutputItemDoneEvent):
                    exchange.end_paragraph()
            elif event.name == "tool_called":
                call = _call(event.item)
                names[call.id] = call.name
                await exchange.tool_called(call)
            elif event.name == "tool_output":
                call_id = _call(event.item).id
                await exchange.tool_returned(call_id, names.get(call_id, ""), event.item.output)

    async def _end(
        self, exchange: Exchange, result: RunResultStreaming, history: list[Any]
    ) -> None:
        used = result.context_wrapper.usage
        if result.interruptions:
            run = result.to_state().to_json(context_serializer=lambda _: {})
            tokens = (used.input_tokens, used.output_tokens)
            exchange.remember({"items": history, "run": jsonable(run), "used": tokens}, waits=True)
            await exchange.ask_for_approval([_call(each) for each in result.interruptions])
            return
        exchange.remember({"items": jsonable(result.to_input_list())})
        await exchange.say_result(result.final_output)


def _model_name(model: Any) -> str:
    """Return the name of a model; of an object without one, the name of its class."""
    if model is None or isinstance(model, str):
        return model or get_default_model()
    return str(getattr(model, "model", type(model).__name__))


def _speaks(agent: Any) -> bool:
    """Tell whether an agent's text is for the client, and not the JSON of its output."""
    return getattr(agent, "output_type", None) in (None, str)


def _call(item: Any) -> ToolCall:
    """Return the call that an item is, or is about; the SDK has objects and dictionaries."""
    raw = item.raw_item
    found = raw if isinstance(raw, dict) else {name: getattr(raw, name, None) for name in _FIELDS}
    call_id = found.get("call_id") or found.get("id") or ""
    return ToolCall(call_id, found.get("name") or found.get("type") or "", found.get("arguments"))


_FIELDS = ("call_id", "id", "name", "type", "arguments")


async def _history(exchange: Exchange, recalled: dict[str, Any]) -> list[Any]:
    if recalled:
        return list(recalled["items"])
    return [_as_history(each) for each in await exchange.earlier_messages()]


def _as_history(message: Message) -> dict[str, Any]:
    role = "assistant" if message.role is Role.AGENT else "user"
    return {"role": role, "content": message.text}


def _item(prompt: list[Given]) -> dict[str, Any]:
    if all(given.text is not None for given in prompt):
        return {"role": "user", "content": "\n".join(given.text or "" for given in prompt)}
    return {"role": "user", "content": [_content(given) for given in prompt]}


def _content(given: Given) -> dict[str, Any]:
    if given.text is not None:
        return {"type": "input_text", "text": given.text}
    if given.media_type.startswith("image/"):
        return {"type": "input_image", "image_url": given.data_url, "detail": "auto"}
    if given.url:
        return {"type": "input_file", "file_url": given.url}
    return {
        "type": "input_file",
        "file_data": given.data_url,
        "filename": given.filename or "file",
    }
