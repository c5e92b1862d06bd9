"""ADKAgent: an agent of Google's Agent Development Kit, served over A2A."""

import json
from contextlib import aclosing
from typing import Any

from a2a_app.agents import Message, Part, Role, Turn
from a2a_app.contrib.exchange import Exchange, FrameworkAgent, Given, ToolCall, Tools, jsonable

try:
    from google.adk.agents import BaseAgent, RunConfig
    from google.adk.agents.run_config import StreamingMode
    from google.adk.apps import App
    from google.adk.events import Event
    from google.adk.runners import Runner
    from google.adk.sessions import BaseSessionService, InMemorySessionService
    from google.genai import types
except ImportError as error:
    raise ImportError(
        "a2a_app.contrib.adk needs Google's Agent Development Kit: "
        "pip install 'django-agent2agent[adk]'"
    ) from error

# The names of calls by which the kit asks for something, and which are no tools.
_CONFIRMATION = "adk_request_confirmation"
_CREDENTIAL = "adk_request_credential"
_INPUT = "adk_request_input"


class AgentFailedError(Exception):
    """The agent has ended with an error of its model; the message is the kit's."""


class ADKAgent(FrameworkAgent):
    """An agent of the Agent Development Kit: `agent(ADKAgent(my_agent), name="Planner")`.

    Its text is streamed as one artifact; text that has a schema is data. A conversation is a
    session, which is remembered in the conversation unless the project has a service for sessions.
    Tools that run long, and those that want a confirmation, ask the client.
    """

    memory = "adk"

    def __init__(
        self,
        agent: BaseAgent | App,
        *,
        run_config: RunConfig | None = None,
        session_service: BaseSessionService | None = None,
        tools: Tools = None,
        remembers: bool = True,
        **services: Any,
    ) -> None:
        """Wrap an agent.

        Args:
            agent: The root agent, or an app of the kit that has one.
            run_config: How it is run. None: with its text streamed.
            session_service: Where sessions are. None: in the state of our conversations.
            tools: How clients see the tools that it calls.
            remembers: Whether it knows the earlier turns of a conversation, where there is no
                service for sessions.
            **services: More arguments of the kit's `Runner`: `artifact_service`, `memory_service`.
        """
        root = agent.root_agent if isinstance(agent, App) else agent
        description = getattr(root, "description", None)
        super().__init__(agent.name, description, tools=tools, remembers=remembers)
        self.agent = agent
        self.run_config = run_config or RunConfig(streaming_mode=StreamingMode.SSE)
        self.session_service = session_service
        self.services = services

    async def run(self, turn: Turn) -> None:
        """Let the agent answer a turn."""
        exchange = self.exchange(turn)
        recalled = await exchange.recall() or {}
        sessions = self.session_service or InMemorySessionService()
        runner = self._runner(sessions)
        place = {
            "app_name": runner.app_name,
            "user_id": _user_id(turn),
            "session_id": turn.context.id,
        }
        session = await sessions.get_session(**place)
        if session is None:
            session = await sessions.create_session(**place)
            for event in await _earlier(exchange, recalled):
                await sessions.append_event(session, event)
        answers = _Answer(exchange, self.agent)
        stream = runner.run_async(
            user_id=place["user_id"],
            session_id=place["session_id"],
            new_message=await _new_message(
                exchange, recalled["waiting"] if exchange.is_answer else []
            ),
            run_config=self.run_config,
        )
        async with aclosing(stream) as events:
            async for event in events:
                await answers.take(event)
        waiting = [[call.id, call.name] for call in answers.waiting]
        remembered: dict[str, Any] = {"waiting": waiting}
        if self.session_service is None:
            session = await sessions.get_session(**place)
            found = [each.model_dump(mode="json", exclude_none=True) for each in session.events]
            remembered["events"] = found
        exchange.remember(remembered, waits=bool(waiting))
        await answers.end()

    def _runner(self, sessions: BaseSessionService) -> Runner:
        if isinstance(self.agent, App):
            return Runner(app=self.agent, session_service=sessions, **self.services)
        return Runner(
            app_name=self.agent.name, agent=self.agent, session_service=sessions, **self.services
        )


class _Answer:
    """What an agent says in one run."""

    def __init__(self, exchange: Exchange, agent: Any) -> None:
        self.waiting: list[ToolCall] = []
        self._exchange = exchange
        agent = getattr(agent, "root_agent", agent)
        self._has_schema = getattr(agent, "output_schema", None) is not None
        self._model = getattr(agent, "model", "")
        self._data: Any = None
        self._is_streaming = False

    async def take(self, event: Event) -> None:
        """Tell the client of one event."""
        await self._record_usage(event)
        if event.error_code:
            raise AgentFailedError(f"{event.error_code}: {event.error_message}")
        for part in (event.content and event.content.parts) or ():
            if part.text and not part.thought:
                await self._take_text(part.text, bool(event.partial), event.is_final_response())
            elif not event.partial:
                await self._take_other(part, event.long_running_tool_ids or set())
        if not event.partial:
            self._is_streaming = False

    async def end(self) -> None:
        """Say what is to be said at the end, or ask the client."""
        exchange, waiting = self._exchange, self.waiting
        if not waiting:
            await exchange.say_result(self._data)
        elif all(call.name == _CONFIRMATION for call in waiting):
            await exchange.ask_for_approval([_original(call) for call in waiting])
        elif any(call.name == _CREDENTIAL for call in waiting):
            wanted = [call.as_json() for call in waiting]
            await exchange.turn.auth_required({"calls": wanted})
        elif len(waiting) == 1 and waiting[0].name == _INPUT:
            await exchange.ask(waiting[0].arguments.get("message") or waiting[0].arguments)
        else:
            await exchange.ask({"calls": [call.as_json() for call in waiting]})

    async def _take_text(self, text: str, is_partial: bool, is_final: bool) -> None:
        if self._has_schema:
            if is_final and not is_partial:
                self._data = json.loads(text)
        elif is_partial:
            self._is_streaming = True
            await self._exchange.say(text)
        elif not self._is_streaming:  # else all of it was said in pieces
            self._exchange.end_paragraph()
            await self._exchange.say(text)

    async def _take_other(self, part: types.Part, long_running: set[str]) -> None:
        exchange = self._exchange
        if part.function_call:
            call = part.function_call
            made = ToolCall(call.id or "", call.name or "", call.args)
            if made.id in long_running:
                self.waiting.append(made)
            await exchange.tool_called(made)
        elif part.function_response:
            returned = part.function_response
            await exchange.tool_returned(returned.id or "", returned.name or "", returned.response)
        elif part.inline_data and part.inline_data.data:
            blob = part.inline_data
            name = blob.display_name or ""
            file = Part(raw=blob.data, media_type=blob.mime_type or "", filename=name)
            await exchange.turn.artifact(file, name=name)

    async def _record_usage(self, event: Event) -> None:
        used = event.usage_metadata
        if used and not event.partial:
            model = event.model_version or getattr(self._model, "model", self._model)
            written = (used.candidates_token_count or 0) + (used.thoughts_token_count or 0)
            await self._exchange.used(str(model), used.prompt_token_count or 0, written)


def _user_id(turn: Turn) -> str:
    caller = turn.caller
    return "/".join(filter(None, [caller.tenant, caller.owner])) or "anonymous"


async def _earlier(exchange: Exchange, recalled: dict[str, Any]) -> list[Event]:
    """Return what a new session begins with: what was remembered, or what was said."""
    if "events" in recalled:
        return [Event.model_validate(each) for each in recalled["events"]]
    return [_as_event(each) for each in await exchange.earlier_messages()]


def _as_event(message: Message) -> Event:
    role = "model" if message.role is Role.AGENT else "user"
    content = types.Content(role=role, parts=[types.Part(text=message.text)])
    return Event(author=role, content=content)


async def _new_message(exchange: Exchange, waiting: list[list[str]]) -> types.Content:
    """Return the client's message, which may be the answer that calls wait for."""
    if waiting:
        parts = [_response(exchange, call_id, name) for call_id, name in waiting]
    else:
        parts = [_part(given) for given in await exchange.prompt()]
    return types.Content(role="user", parts=parts)


def _response(exchange: Exchange, call_id: str, name: str) -> types.Part:
    answer = exchange.answer()
    if name == _CONFIRMATION:
        answer = {"confirmed": exchange.approves(call_id)}
    elif isinstance(answer, dict) and call_id in answer:
        answer = answer[call_id]
    response = answer if isinstance(answer, dict) else {"result": jsonable(answer)}
    found = types.FunctionResponse(id=call_id, name=name, response=response)
    return types.Part(function_response=found)


def _original(call: ToolCall) -> ToolCall:
    """Return the call that a confirmation is about, by the confirmation's own id."""
    original = call.arguments.get("originalFunctionCall") or {}
    return ToolCall(call.id, original.get("name", call.name), original.get("args"))


def _part(given: Given) -> types.Part:
    if given.text is not None:
        return types.Part(text=given.text)
    if given.url:
        return types.Part.from_uri(file_uri=given.url, mime_type=given.media_type)
    return types.Part.from_bytes(data=given.content, mime_type=given.media_type)
