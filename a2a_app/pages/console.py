"""The console: a user who is signed in talks to an agent, through the operations as any client."""

from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import aget_object_or_404, redirect
from django.urls import path, reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from a2a_app import database, protocol
from a2a_app.agents import Agent, registry
from a2a_app.bindings import jsonrpc
from a2a_app.bindings.api import begun_agent
from a2a_app.bindings.callers import caller_of, grant_of, sees, visible_agent
from a2a_app.bindings.calls import call_of
from a2a_app.bindings.dialects import CURRENT
from a2a_app.bindings.files import OpenedFileResponse
from a2a_app.bindings.wsgi import do_on_lasting_loop
from a2a_app.files.rows import open_file
from a2a_app.operations import OPERATIONS, Call
from a2a_app.pages.access import for_users
from a2a_app.pages.agent import read_card, shown
from a2a_app.pages.chat import (
    CHAT_URL,
    FILE_URL,
    PART_URL,
    Chat,
    form_context,
    read_chat,
    required_extensions,
    tasks_of,
)
from a2a_app.pages.drafts import Draft, read_draft
from a2a_app.pages.log import may_view_in_admin, read_step
from a2a_app.pages.responses import events_response, part_response
from a2a_app.pages.task import number_in
from a2a_app.protocol import A2AError
from a2a_app.protocol.scalars import make_storable


@require_GET
async def choose_agent(request: HttpRequest) -> HttpResponseBase:
    """Show the agents that there are for a user."""
    grant = await grant_of(request)
    agents = [agent for agent in registry if await sees(grant, agent)]
    return await shown(request, "agents.html", {"agents": agents})


@require_http_methods(["GET", "HEAD", "POST"])
async def show_chat(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Show a conversation with an agent; by POST, say something in it, or cancel a task of it."""
    agent = await begun_agent(request, slug)
    error, draft, status = "", Draft(text=request.GET.get("text", "")), 200
    if request.method == "POST":
        draft = await sync_to_async(read_draft)(request)
        try:
            return await _do(request, agent, draft)
        except A2AError as refusal:
            error, status = refusal.message, refusal.http_status
    context = make_storable(request.GET.get("context", "") or draft.context)
    chat = Chat(slug)
    try:
        call = await _call(request, agent, "GetTask")
        chat = await sync_to_async(read_chat)(call.scope, context)
    except A2AError as refusal:
        error = error or refusal.message
    more = {
        "chat": chat,
        "draft": draft,
        "error": error,
        "page": await read_card(request, agent),
        **form_context(request, agent),
        "names_url": True,
    }
    return await shown(request, "chat_page.html", more, status=status)


async def _do(request: HttpRequest, agent: Agent, draft: Draft) -> HttpResponseBase:
    """Do what a form says, and lead to the conversation.

    Raises:
        A2AError: The operation refused.
    """
    if draft.cancel:
        await _perform(request, agent, "CancelTask", {"id": draft.cancel})
        context = draft.context
    else:
        given = await sync_to_async(draft.request)()  # in a thread, since it reads files
        result = await _perform(request, agent, "SendMessage", given)
        said: dict[str, Any] = result.get("task") or result["message"]
        context = said.get("contextId", "")
    query = f"?{urlencode({'context': context})}" if context else ""
    return redirect(reverse(CHAT_URL, args=[agent.slug]) + query)


async def _call(
    request: HttpRequest, agent: Agent, operation: str, given: dict[str, Any] | None = None
) -> Call:
    """Return a user's call of an operation; raise A2AError where it may not."""
    request.META.setdefault("HTTP_A2A_EXTENSIONS", required_extensions(agent))
    call = await call_of(request, agent, await caller_of(request), CURRENT, given or {})
    await call.caller.check(call.agent, OPERATIONS[operation].scope, operation)
    return call


async def _perform(
    request: HttpRequest, agent: Agent, name: str, given: dict[str, Any]
) -> dict[str, Any]:
    call = await _call(request, agent, name, given)
    operation = OPERATIONS[name]
    params = await operation.checked_params(call, given)
    assert operation.unary is not None  # no form is answered by a stream
    work = operation.unary(call, params)
    try:
        return (await (work if call.can_stream else do_on_lasting_loop(work))).to_dict()
    except database.AwayError as error:
        raise protocol.UnavailableError from error


@require_POST
async def answer_script(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Answer a JSON-RPC request of the page's script, in the name of the user."""
    return await jsonrpc.serve(request, await begun_agent(request, slug))


async def _task(request: HttpRequest, slug: str, key: UUID) -> Any:
    call = await _call(request, await visible_agent(request, slug), "GetTask")
    return await aget_object_or_404(tasks_of(call.scope), pk=key)


@require_GET
async def show_log(request: HttpRequest, slug: str, key: UUID) -> HttpResponseBase:
    """Show one event of a task's log, with the way to those around it; or several of them as JSON.

    The query has the number of the one, or `from` and `to` of the others.
    """
    task = await _task(request, slug, key)
    first, last = number_in(request, "from"), number_in(request, "to")
    if first is None:
        step = await sync_to_async(read_step)(task, number_in(request, "number") or 1)
        may_view = await sync_to_async(may_view_in_admin)(request)
        return await shown(request, "log.html", {"step": step, "in_admin": may_view})
    response: HttpResponseBase = await sync_to_async(events_response)(
        task, first, task.seq if last is None else last
    )
    return response


@require_GET
async def show_part(
    request: HttpRequest, slug: str, key: UUID, kind: str, row: UUID, index: int
) -> HttpResponseBase:
    """Answer with all of a part of a message or of an artifact."""
    task = await _task(request, slug, key)
    response: HttpResponseBase = await sync_to_async(part_response)(request, task, kind, row, index)
    return response


@require_GET
async def show_file(request: HttpRequest, slug: str, key: UUID) -> HttpResponseBase:
    """Answer with the bytes of a file that is the user's."""
    call = await _call(request, await visible_agent(request, slug), "GetTask")
    try:
        opened = await open_file(call.scope.owner, str(key))
    except LookupError:
        raise Http404("There is no such file.") from None
    if opened.agent != slug:  # the user was asked for with this agent only
        opened.close()
        raise Http404("The agent has no such file.")
    return OpenedFileResponse(request, opened)


urlpatterns = [
    # No agent and no tenant has these URLs: a slug has no dots, and no operation is called so.
    path("console.html", for_users(choose_agent), name="a2a_console"),
    path("<slug:slug>/console.html", for_users(show_chat), name=CHAT_URL),
    path("<slug:slug>/console.json", for_users(answer_script), name="a2a_console_script"),
    path("<slug:slug>/console.log/<uuid:key>/", for_users(show_log), name="a2a_console_log"),
    path("<slug:slug>/console.file/<uuid:key>/", for_users(show_file), name=FILE_URL),
    path(
        "<slug:slug>/console.part/<uuid:key>/<str:kind>/<uuid:row>/<int:index>/",
        for_users(show_part),
        name=PART_URL,
    ),
]
