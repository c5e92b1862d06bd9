"""Graphs of LangGraph behind our agents: tokens, interrupts, threads, usage."""

import asyncio
from collections.abc import Iterator
from typing import Annotated, Any, TypedDict
from uuid import uuid4

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Send, interrupt

from a2a_app.agents import Message, Part, Role, Turn
from a2a_app.contrib.exchange import TOOLS
from a2a_app.contrib.langgraph import Graph, LangGraphAgent
from a2a_app.protocol import TaskState
from tests.clients.operations import client_of
from tests.contrib.conversations import answer, cancel_once_begun, data_of, texts_of, tokens_of
from tests.tasks import new_message
from tests.wire import text

pytestmark = pytest.mark.usefixtures("runtime")


class Chat(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


class Order(TypedDict, total=False):
    size: str
    sizes: Annotated[list[str], lambda old, new: old + new]


def graph_of(state: type, *nodes: Any, checkpointer: Any = None) -> Graph:
    """Compile a graph that runs nodes one after the other."""
    graph: StateGraph[Any] = StateGraph(state)
    names = [node.__name__ for node in nodes]
    for name, node in zip(names, nodes, strict=True):
        graph.add_node(name, node)
    for start, end in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(start, end)
    return graph.compile(checkpointer=checkpointer)


class SpeakingModel(GenericFakeChatModel):
    """Says its words one by one, and after them what it has used."""

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        yield from super()._stream(*args, **kwargs)
        used = UsageMetadata(input_tokens=7, output_tokens=3, total_tokens=10)
        about = {"model_name": "fake"}
        last = AIMessageChunk(content="", usage_metadata=used, response_metadata=about)
        yield ChatGenerationChunk(message=last)


def speaking(*texts: str) -> SpeakingModel:
    return SpeakingModel(messages=iter(texts))


async def test_the_tokens_of_a_models_answer_are_streamed_and_its_usage_recorded() -> None:
    model = speaking("It is cold.")

    async def speak(state: Chat) -> Any:
        return {"messages": [await model.ainvoke(state["messages"])]}

    async def muse(state: Chat) -> Any:
        return {"messages": [AIMessage("Nobody hears this.")]}

    graph = graph_of(Chat, speak, muse)
    with client_of(LangGraphAgent(graph, nodes={"speak"}), slug="speaking") as client:
        events = await client.stream("How cold?")
        task = await client.get(events[0]["task"]["id"])
    assert [text(each) for each in events if text(each)][:5] == ["It", " ", "is", " ", "cold."]
    assert texts_of(task) == {"answer": ["It is cold."]}
    assert tokens_of(task) == {"fake": (7, 3)}


@pytest.mark.parametrize("checkpointer", [None, InMemorySaver()], ids=["ours", "its own"])
async def test_a_conversation_is_a_thread_of_its_owner_only(checkpointer: Any) -> None:
    seen: list[list[str]] = []

    async def count(state: Chat) -> Any:
        seen.append([str(each.text) for each in state["messages"]])
        return {"messages": [AIMessage(f"{len(seen)}")]}

    graph = graph_of(Chat, count, checkpointer=checkpointer)
    with client_of(LangGraphAgent(graph), slug="counting") as client:
        first = await client.send("one")
        await client.send(answer(first, "two", task_too=False))
        client.call = type(client.call)(client.call.agent, type(client.call.caller)("name:eve"))
        await client.send(answer(first, "mine?", task_too=False))
    assert seen == [["one"], ["one", "1", "two"], ["mine?"]]


async def test_no_id_of_a_conversation_leads_to_the_thread_of_another_caller() -> None:
    seen: list[list[str]] = []

    async def count(state: Chat) -> Any:
        seen.append([str(each.text) for each in state["messages"]])
        return {"messages": [AIMessage("Yes?")]}

    graph = graph_of(Chat, count, checkpointer=InMemorySaver())
    with client_of(LangGraphAgent(graph), slug="counting") as client:
        for owner, context_id in (("name:ann/x", "y"), ("name:ann", "x/y")):
            client.call = type(client.call)(client.call.agent, type(client.call.caller)(owner))
            await client.send(new_message("mine", context_id=context_id))
    assert seen == [["mine"], ["mine"]]


@pytest.mark.parametrize("checkpointer", [None, InMemorySaver()], ids=["ours", "its own"])
async def test_an_interrupt_asks_and_the_answer_resumes_the_graph(checkpointer: Any) -> None:
    begun: list[str] = []

    def begin(state: Order) -> Order:
        begun.append("begun")
        return {"sizes": []}

    def ask(state: Order) -> Order:
        return {"size": interrupt("Which size?"), "sizes": [interrupt({"colours": ["red"]})]}

    graph = graph_of(Order, begin, ask, checkpointer=checkpointer)
    agent = LangGraphAgent(
        graph, input=lambda turn: {"size": turn.text}, remembers=checkpointer is not None
    )
    with client_of(agent, slug="ordering") as client:
        asked = await client.send("A shirt")
        other = await client.send(answer(asked, "A hat", task_too=False))
        assert other.status.state is TaskState.INPUT_REQUIRED
        begun.clear()
        asked = await client.send("A shirt")
        again = await client.send(answer(asked, "L"))
        done = await client.send(answer(again, {"colour": "red"}))
    assert asked.status.state is again.status.state is TaskState.INPUT_REQUIRED
    assert asked.status.message and asked.status.message.text == "Which size?"
    assert again.status.message and again.status.message.parts[0].data == {"colours": ["red"]}
    assert done.status.state is TaskState.COMPLETED
    assert data_of(done) == {"result": [{"size": "L", "sizes": [{"colour": "red"}]}]}
    assert begun == ["begun"]


async def test_several_interrupts_at_once_are_answered_by_their_ids() -> None:
    def begin(state: Order) -> Order:
        return {}

    def ask(state: Order) -> Order:
        return {"sizes": [interrupt(state["size"])]}

    graph: StateGraph[Any] = StateGraph(Order)
    graph.add_node("begin", begin)
    graph.add_node("ask", ask)
    graph.add_edge(START, "begin")
    graph.add_conditional_edges(
        "begin", lambda state: [Send("ask", {"size": each}) for each in ("head", "foot")]
    )
    agent = LangGraphAgent(graph.compile(), input=lambda turn: {"size": turn.text})
    with client_of(agent, slug="measuring") as client:
        asked = await client.send("go")
        assert asked.status.message is not None
        wanted = asked.status.message.parts[0].data["interrupts"]
        assert [each["value"] for each in wanted] == ["head", "foot"]
        told = {each["id"]: f"{each['value']}: 7" for each in wanted}
        done = await client.send(answer(asked, told))
    assert data_of(done)["result"][0]["sizes"] == ["head: 7", "foot: 7"]


async def test_tools_are_data_and_files_reach_the_model() -> None:
    seen: list[Any] = []

    async def decide(state: Chat) -> Any:
        seen.extend(state["messages"][0].content_blocks)
        call = {"name": "look", "args": {"at": "sky"}, "id": "c1"}
        return {"messages": [AIMessage("", tool_calls=[call])]}

    async def look(state: Chat) -> Any:
        return {"messages": [ToolMessage("grey", tool_call_id="c1", name="look")]}

    image = Part(raw=b"jpeg", media_type="image/jpeg")
    message = Message(
        message_id=str(uuid4()), role=Role.USER, parts=[Part(text="See"), image, Part(data=[1])]
    )
    agent = LangGraphAgent(graph_of(Chat, decide, look), tools="data")
    modes = ("text/plain", "image/*", "application/json")
    with client_of(agent, slug="looking", input_modes=modes) as client:
        task = await client.send(message)
    assert [each["type"] for each in seen] == ["text", "image", "text"]
    assert (seen[1]["base64"], seen[1]["mime_type"]) == ("anBlZw==", "image/jpeg")
    assert data_of(task)["tools"] == [
        {"call": {"id": "c1", "name": "look", "arguments": {"at": "sky"}}},
        {"result": {"id": "c1", "name": "look", "value": "grey"}},
    ]
    assert TOOLS not in task.metadata


async def test_the_graph_has_a_context_of_the_turn_and_says_what_the_project_wants() -> None:
    def name(state: Order, runtime: Any) -> Order:
        return {"size": runtime.context["text"]}

    graph: StateGraph[Any, Any] = StateGraph(Order, context_schema=dict)
    graph.add_node("name", name)
    graph.add_edge(START, "name")

    async def context(turn: Turn) -> dict[str, str]:
        return {"text": turn.text}

    agent = LangGraphAgent(
        graph.compile(),
        input=lambda turn: {"size": ""},
        output=lambda state: f"Size {state['size']}",
        context=context,
    )
    with client_of(agent, slug="naming") as client:
        assert texts_of(await client.send("XL")) == {"answer": ["Size XL"]}


async def test_a_cancelled_task_stops_the_graph() -> None:
    begun, stopped = asyncio.Event(), asyncio.Event()

    async def hang(state: Chat) -> Any:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    with client_of(LangGraphAgent(graph_of(Chat, hang)), slug="hanging") as client:
        task = await cancel_once_begun(client, begun)
        async with asyncio.timeout(20):
            await stopped.wait()
    assert task.status.state is TaskState.CANCELED


async def test_an_error_of_a_node_fails_the_task_and_what_was_used_counts() -> None:
    model = speaking("It is")

    async def speak(state: Chat) -> Any:
        await model.ainvoke(state["messages"])
        raise RuntimeError("the secret")

    with client_of(LangGraphAgent(graph_of(Chat, speak)), slug="failing") as client:
        task = await client.send()
    assert task.status.state is TaskState.FAILED
    assert "secret" not in str(task.to_dict())
    assert tokens_of(task) == {"fake": (7, 3)}
