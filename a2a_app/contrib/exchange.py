"""Exchange: one turn between a client of A2A and an agent of another framework."""

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from decimal import Decimal
from mimetypes import guess_type
from typing import Any, Literal, NamedTuple, TypeAlias

from pydantic_core import to_jsonable_python

from a2a_app.agents import Agent, ArtifactWriter, BudgetError, Message, Part, Turn
from a2a_app.files.links import SCHEME

Tools: TypeAlias = Literal["data", "metadata"] | None
"""How clients see the tools that an agent calls: as data of an artifact, as metadata of the task's
status, or not at all."""
ForRun: TypeAlias = Callable[[Turn], Any] | None
"""What makes, for each turn, an object that the framework hands to the agent's tools."""

TOOLS = "urn:a2a-app:tools:v1"
JSON = "application/json"
_APPROVED = {"yes", "y", "ok", "approve", "approved", "true"}
# A file in what is remembered, in place of its bytes: as base64, or as base64 for URLs.
_REMEMBERED_FILE = re.compile(rf"{SCHEME}[0-9a-f-]{{36}}(?:\?urlsafe)?")


class FrameworkAgent(Agent):
    """What the agents of all frameworks have in common."""

    input_modes = ("text/plain", JSON)
    output_modes = ("text/plain", JSON)
    memory = ""
    """The key of its memory in the state of a conversation."""

    def __init__(
        self,
        name: str | None,
        description: str | None,
        *,
        tools: Tools = None,
        remembers: bool = True,
    ) -> None:
        """Make an agent.

        Args:
            name: The framework's name for it, unless the declaration has another.
            description: The framework's description of it, unless the declaration has another.
            tools: How clients see the tools that it calls.
            remembers: Whether it knows the earlier turns of a conversation.
        """
        self.name = name or ""
        self.description = description or ""
        self.tools = tools
        self.remembers = remembers

    def exchange(self, turn: Turn) -> "Exchange":
        """Return the exchange of a turn."""
        return Exchange(turn, self.memory, self.tools, self.remembers)


class Given(NamedTuple):
    """One part of a client's message, in a form that all frameworks know."""

    text: str | None = None
    """Text, or data as JSON."""
    content: bytes = b""
    """The bytes of a file, unless it is elsewhere."""
    url: str = ""
    """Where the file is, if that is another server."""
    media_type: str = ""
    filename: str = ""

    @property
    def data_url(self) -> str:
        """The file as a URL: its own, or one that holds its bytes."""
        return self.url or f"data:{self.media_type};base64,{b64encode(self.content).decode()}"


class ToolCall(NamedTuple):
    """A call that an agent makes, or wants to make."""

    id: str
    name: str
    arguments: Any

    def as_json(self) -> dict[str, Any]:
        """Return it as clients see it."""
        arguments = self.arguments
        if isinstance(arguments, str):
            with suppress(ValueError):  # a model's mistake, which is shown as it is
                arguments = json.loads(arguments)
        return {"id": self.id, "name": self.name, "arguments": jsonable(arguments)}


class Exchange:
    """Takes what a client says to a framework, and what the framework says to the client."""

    def __init__(self, turn: Turn, memory: str, tools: Tools, remembers: bool) -> None:
        self.turn = turn
        self.said = ""
        """The text that was said so far."""
        self.is_answer = False
        """Whether the client's message is the answer for which this task has waited."""
        self._memory = memory
        self._tools = tools
        self._remembers = remembers
        self._text: ArtifactWriter | None = None
        self._calls: ArtifactWriter | None = None
        self._is_paragraph_over = False
        self._message_id = ""
        self._files: dict[str, str] = {}

    # From the client.

    async def prompt(self) -> list[Given]:
        """Return the parts of the client's message."""
        return [await self._given(part) for part in self.turn.message.parts]

    async def earlier_messages(self) -> list[Message]:
        """Return what was said in the conversation before, for an agent that remembers nothing."""
        if not self._remembers:
            return []
        this = self.turn.message.message_id
        messages = await self.turn.context.messages()
        return [each for each in messages if each.message_id != this and each.text]

    def answer(self) -> Any:
        """Return the client's answer to a question: its data, if it has some; else its text."""
        data = [part.data for part in self.turn.message.parts if part.has_data]
        return (data[0] if len(data) == 1 else data) if data else self.turn.text

    def approves(self, call_id: str) -> bool:
        """Tell whether the client's answer lets the agent call a tool.

        It may be data, `{"approved": true}` or `{"approved": {"<id>": true}}`, or a plain "yes".
        """
        answer = self.answer()
        if isinstance(answer, Mapping):
            approved = answer.get("approved")
            return (approved.get(call_id) if isinstance(approved, Mapping) else approved) is True
        return isinstance(answer, str) and answer.strip().strip(".!").casefold() in _APPROVED

    # To the client.

    async def say(self, text: str) -> None:
        """Say the next piece of the answer, a chunk of one artifact."""
        if not text:
            return
        if self._is_paragraph_over and self.said:
            text = f"\n\n{text}"
        self._is_paragraph_over = False
        if self._text is None:
            self._text = self.turn.open_artifact(name="answer")
        self.said += text
        await self._text.write(text)

    async def say_in(self, message_id: str, text: str) -> None:
        """Say a piece of one of several messages, each of which is a paragraph."""
        if message_id != self._message_id:
            self.end_paragraph()
            self._message_id = message_id
        await self.say(text)

    def end_paragraph(self) -> None:
        """Let what is said next begin a paragraph."""
        self._is_paragraph_over = True

    async def say_result(self, result: Any) -> None:
        """Say what an agent has returned, unless that is what it has said already."""
        if result is None or (isinstance(result, str) and self.said.endswith(result)):
            return
        if isinstance(result, str):
            self.end_paragraph()
            await self.say(result)
        else:
            await self.turn.artifact(sayable(result), name="result")

    async def tool_called(self, call: ToolCall) -> None:
        """Tell the client of a call, if it is to know."""
        self.end_paragraph()
        await self._tell_of_tool({"call": call.as_json()})

    async def tool_returned(self, call_id: str, name: str, result: Any) -> None:
        """Tell the client what a tool has returned, if it is to know."""
        await self._tell_of_tool(
            {"result": {"id": call_id, "name": name, "value": jsonable(result)}}
        )

    async def ask(self, *questions: Any) -> None:
        """Ask the client. Return from `run` then."""
        await self._close()
        await self.turn.input_required(*(sayable(each) for each in questions))

    async def ask_for_approval(self, calls: list[ToolCall]) -> None:
        """Ask the client whether the agent may call tools. Return from `run` then."""
        wanted = [call.as_json() for call in calls]
        text = "\n".join(f"May I call {each['name']} with {each['arguments']}?" for each in wanted)
        await self.ask(text, {"approve": wanted})

    async def used(
        self, model: str | None, input_tokens: int, output_tokens: int, cost: Decimal | None = None
    ) -> None:
        """Record what was used of a model, if anything was.

        What it was used for is paid then, and is said also where a budget is used up by it.
        """
        if input_tokens or output_tokens or cost:
            with suppress(BudgetError):  # the next message is refused
                await self.turn.usage(
                    model or "unknown",
                    input_tokens=input_tokens,
                    output_tokens=output_tokens,
                    cost=cost,
                )

    # What the agent remembers of the conversation.

    async def recall(self) -> Any:
        """Return what was remembered, with the bytes of its files; None: nothing.

        Afterwards `is_answer` tells whether the client's message is the answer to a question.
        """
        state = self.turn.context.state.get(self._memory)
        if state is None:
            return None
        self.is_answer = state["waiting"] == self.turn.task_id
        if not (self._remembers or self.is_answer):
            return None
        text = json.dumps(state["value"])
        for name in set(_REMEMBERED_FILE.findall(text)):
            reference, _, is_urlsafe = name.partition("?")
            try:
                content = await self.turn.read(Part(url=reference))
            except ValueError:  # it was deleted, or is nothing but text
                continue
            encoded = (urlsafe_b64encode if is_urlsafe else b64encode)(content).decode()
            self._files[encoded] = name
            text = text.replace(name, encoded)
        return json.loads(text)

    def remember(self, value: Any, *, waits: bool = False) -> None:
        """Remember JSON values for the next turn of the conversation, if the agent is to.

        Files that are stored are remembered by their names: with their bytes, each turn would
        write them again.

        Args:
            value: What to remember.
            waits: Whether this task waits for an answer. Then it is remembered in any case. Another
                task of the conversation may come first, and its message is no answer.
        """
        state = self.turn.context.state
        if not (self._remembers or waits):
            state.pop(self._memory, None)
            return
        text = json.dumps(value)
        for encoded, name in self._files.items():
            text = text.replace(encoded, name)
        waiting = self.turn.task_id if waits else ""
        state[self._memory] = {"value": json.loads(text), "waiting": waiting}

    async def _given(self, part: Part) -> Given:
        if part.text is not None:
            return Given(text=part.text)
        if part.has_data:
            return Given(text=json.dumps(part.data, ensure_ascii=False))
        name = part.filename or (part.url or "").partition("?")[0]
        media_type = part.media_type or guess_type(name)[0] or "application/octet-stream"
        is_stored = (part.url or "").startswith(SCHEME)
        if part.raw is None and not is_stored:
            return Given(None, b"", part.url or "", media_type, part.filename)
        content = await self.turn.read(part)
        if is_stored:
            self._files[b64encode(content).decode()] = part.url or ""
            self._files[urlsafe_b64encode(content).decode()] = f"{part.url}?urlsafe"
        return Given(None, content, "", media_type, part.filename)

    def _tell_of_tool(self, told: dict[str, Any]) -> Awaitable[None]:
        if self._tools == "metadata":
            return self.turn.working(metadata={TOOLS: told})
        if self._tools is None:
            return _nothing()
        if self._calls is None:
            self._calls = self.turn.open_artifact(name="tools")
        return self._calls.write(told)

    async def _close(self) -> None:
        for writer in (self._text, self._calls):
            if writer is not None:
                await writer.close()


async def _nothing() -> None:
    """Do nothing, where something else is awaited otherwise."""


def jsonable(value: Any) -> Any:
    """Return any value as JSON; as its text, where there is no other form."""
    return to_jsonable_python(
        value, bytes_mode="base64", inf_nan_mode="constants", serialize_unknown=True
    )


def sayable(value: Any) -> Any:
    """Return a value as an agent can say it: itself, or as JSON where it may be any object."""
    return value if isinstance(value, str | bytes | Part) else jsonable(value)
