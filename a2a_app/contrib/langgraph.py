"""LangGraphAgent: a graph of LangGraph, served over A2A."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Collection, Mapping
from contextlib import aclosing
from typing import Any, cast
from urllib.parse import quote

from a2a_app.agents import Message, Role, Turn
from a2a_app.concurrency.hooks import call_hook
from a2a_app.contrib.exchange import Exchange, ForRun, FrameworkAgent, Given, ToolCall, Tools

try:
    from langchain_core.callbacks import UsageMetadataCallbackHandler
    from langchain_core.messages import (
        AIMessage,
        AnyMessage,
        HumanMessage,
        ToolMessage,
    )
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.graph.state import CompiledStateGraph
    from langgraph.types import Command, Interrupt
except ImportError as error:
    raise ImportError(
        "a2a_app.contrib.langgraph needs LangGraph: pip install 'django-agent2agent[langgraph]'"
    ) from error

Graph = CompiledStateGraph[Any, Any, Any, Any]

_INTERRUPT = "__interrupt__"


class LangGraphAgent(FrameworkAgent):
    """A compiled graph of LangGraph: `agent(LangGraphAgent(my_graph), name="Planner")`.

    A conversation is a thread. The text of its models is streamed as one artifact. An interrupt
    asks the client, whose answer resumes the graph. A graph without a checkpointer is remembered in
    the conversation: its newest checkpoint, saved with the end of each turn.
    """

    memory = "langgraph"

    def __init__(
        self,
        graph: Graph,
        *,
        input: Callable[[Turn], Any] | None = None,  # noqa: A002  # LangGraph's own word
        output: Callable[[Any], Any] | None = None,
        context: ForRun = None,
        nodes: Collection[str] | None = None,
        tools: Tools = None,
        remembers: bool = True,
    ) -> None:
        """Wrap a graph.

        Args:
            graph: The compiled graph.
            input: Takes the turn and returns the graph's input. None: the client's message, as the
                newest of `messages`.
            output: Takes the state in which the graph has ended and returns what to say of it.
                None: `structured_response`; or all besides `messages`, if it has said no text.
            context: Takes the turn and returns the graph's context. None: there is none.
            nodes: The names of the nodes whose text the client gets. None: all of them.
            tools: How clients see the tools that it calls.
            remembers: Whether a graph without a checkpointer knows the earlier turns of a
                conversation.
        """
        name = None if graph.name == "LangGraph" else graph.name
        super().__init__(name, None, tools=tools, remembers=remembers)
        self.graph = graph
        self.input, self.output, self.context, self.nodes = input, output, context, nodes

    async def run(self, turn: Turn) -> None:
        """Let the graph answer a turn."""
        exchange, usage = self.exchange(turn), UsageMetadataCallbackHandler()
        config: RunnableConfig = {
            "configurable": {"thread_id": self.thread_id(turn)},
            "callbacks": [usage],
        }
        recalled = await exchange.recall()
        saver = None if self.graph.checkpointer else InMemorySaver()
        if saver:
            _load(saver, config, recalled)
        graph = self.graph.copy({"checkpointer": saver}) if saver else self.graph
        try:
            state, interrupts = await self._stream(graph, config, exchange)
        finally:
            for model, used in usage.usage_metadata.items():
                await exchange.used(model, used["input_tokens"], used["output_tokens"])
        exchange.remember(_dump(saver, config) if saver else None, waits=bool(interrupts))
        if interrupts:
            await exchange.ask(*_questions(interrupts))
        else:
            await exchange.say_result(self._result(state, exchange.said))

    def thread_id(self, turn: Turn) -> str:
        """Return the thread of a turn's conversation with this agent.

        Several callers may use the same contextId, and none of them may see another's thread.
        """
        caller = turn.caller
        # Quoted, since a caller's name may have a slash, and clients choose the ids of contexts.
        named = (self.slug, caller.tenant, caller.owner, turn.context.id)
        return "/".join(quote(each, safe="") for each in named)

    async def _stream(
        self, graph: Graph, config: RunnableConfig, exchange: Exchange
    ) -> "tuple[Any, list[Interrupt[Any]]]":
        """Run the graph, and return its state and the interrupts by which it has stopped."""
        state: Any = None
        interrupts: list[Interrupt[Any]] = []
        stream = graph.astream(
            await self._input(graph, config, exchange),
            config,
            context=await call_hook(self.context, exchange.turn) if self.context else None,
            stream_mode=["messages", "updates", "values"],
        )
        # Closed at once when the turn is cancelled, and not by the garbage collector.
        async with aclosing(cast("Any", stream)) as events:
            async for mode, payload in events:
                if mode == "messages":
                    await self._say(exchange, *payload)
                elif mode == "values":
                    state = payload
                elif _INTERRUPT in payload:
                    interrupts += payload[_INTERRUPT]
                else:
                    await _tell_of_tools(exchange, payload)
        return state, interrupts

    async def _input(self, graph: Graph, config: RunnableConfig, exchange: Exchange) -> Any:
        snapshot = await graph.aget_state(config)
        if snapshot.interrupts and exchange.is_answer:
            return Command(resume=_answers(snapshot.interrupts, exchange.answer()))
        if self.input:
            return await call_hook(self.input, exchange.turn)
        earlier = [] if snapshot.values else await exchange.earlier_messages()
        message = HumanMessage(_content(await exchange.prompt()))
        return {"messages": [*map(_as_history, earlier), message]}

    async def _say(self, exchange: Exchange, message: AnyMessage, about: dict[str, Any]) -> None:
        is_heard = self.nodes is None or about.get("langgraph_node") in self.nodes
        if is_heard and isinstance(message, AIMessage):  # and so a chunk of one
            await exchange.say_in(message.id or "", str(message.text))

    def _result(self, state: Any, said: str) -> Any:
        if self.output:
            return self.output(state)
        if not isinstance(state, Mapping):
            return None if said else state
        structured = state.get("structured_response")
        if structured is not None or said:
            return structured
        rest = {key: value for key, value in state.items() if key not in ("messages", _INTERRUPT)}
        return rest or None


async def _tell_of_tools(exchange: Exchange, update: Mapping[str, Any]) -> None:
    for message in _messages_in(update):
        if isinstance(message, AIMessage):
            for call in message.tool_calls:
                await exchange.tool_called(ToolCall(call["id"] or "", call["name"], call["args"]))
        elif isinstance(message, ToolMessage):
            await exchange.tool_returned(message.tool_call_id, message.name or "", message.content)


def _messages_in(update: Mapping[str, Any]) -> list[Any]:
    """Return the messages that nodes have added; a node may return anything."""
    found: list[Any] = []
    for change in update.values():
        for part in change if isinstance(change, list) else [change]:
            messages = part.get("messages") if isinstance(part, Mapping) else None
            found += messages if isinstance(messages, list) else [messages]
    return found


def _questions(interrupts: "list[Interrupt[Any]]") -> list[Any]:
    if len(interrupts) == 1:
        return [interrupts[0].value]
    return [{"interrupts": [{"id": each.id, "value": each.value} for each in interrupts]}]


def _answers(interrupts: "Collection[Interrupt[Any]]", answer: Any) -> Any:
    """Return what resumes the graph: an answer for each interrupt, where there are several."""
    if len(interrupts) == 1:
        return answer
    ids = [each.id for each in interrupts]
    by_id = isinstance(answer, Mapping) and any(each in answer for each in ids)
    return {each: answer.get(each) if by_id else answer for each in ids}


def _content(prompt: list[Given]) -> str | list[str | dict[Any, Any]]:
    if all(given.text is not None for given in prompt):
        return "\n".join(given.text or "" for given in prompt)
    return [_block(given) for given in prompt]


def _block(given: Given) -> dict[str, Any]:
    if given.text is not None:
        return {"type": "text", "text": given.text}
    kind = given.media_type.partition("/")[0]
    block = {
        "type": kind if kind in ("image", "audio", "video") else "file",
        "mime_type": given.media_type,
        **({"filename": given.filename} if given.filename else {}),
    }
    if given.url:
        return {**block, "url": given.url}
    return {**block, "base64": b64encode(given.content).decode()}


def _as_history(message: Message) -> AnyMessage:
    kind = AIMessage if message.role is Role.AGENT else HumanMessage
    return kind(message.text)


# The newest checkpoint of a thread, in the state of the conversation.


def _dump(saver: InMemorySaver, config: RunnableConfig) -> dict[str, str]:
    """Return the newest checkpoints, of the graph and of graphs within it, as JSON values."""
    newest: dict[str, Any] = {}
    for found in saver.list({"configurable": {"thread_id": config["configurable"]["thread_id"]}}):
        place = found.config["configurable"]["checkpoint_ns"]
        newest.setdefault(place, (found.checkpoint, found.metadata, found.pending_writes))
    kind, content = saver.serde.dumps_typed(newest)
    return {"type": kind, "content": b64encode(content).decode()}


def _load(saver: InMemorySaver, config: RunnableConfig, saved: Mapping[str, str] | None) -> None:
    if saved is None:
        return
    newest = saver.serde.loads_typed((saved["type"], b64decode(saved["content"])))
    thread = config["configurable"]["thread_id"]
    for place, (checkpoint, metadata, writes) in newest.items():
        at = saver.put(
            {"configurable": {"thread_id": thread, "checkpoint_ns": place}},
            checkpoint,
            metadata,
            checkpoint["channel_versions"],
        )
        by_task: dict[str, list[tuple[str, Any]]] = {}
        for task, channel, value in writes or ():
            by_task.setdefault(task, []).append((channel, value))
        for task, written in by_task.items():
            saver.put_writes(at, written, task)
