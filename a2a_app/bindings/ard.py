"""The search among agents, as ARD's registries have it (ARD 0.91, section 5.3)."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

from a2a_app import conf, database, protocol
from a2a_app.agents.catalog import Json
from a2a_app.bindings.calls import read_json_object
from a2a_app.bindings.cards import private_response, public_response
from a2a_app.bindings.catalog import entries_for, is_personal, registry_url
from a2a_app.bindings.expressions import ordered, selected
from a2a_app.bindings.search import filtered, ranked
from a2a_app.bindings.security import declared_security
from a2a_app.bindings.throttles import throttle

FEDERATION = ("auto", "referrals", "none")
PAGE_SIZE, LIST_SIZE, MAX_PAGE_SIZE = 10, 20, 100
# A query is a sentence or two.
MAX_QUERY_CHARACTERS = 2_000
_CODES = {"RESOURCE_EXHAUSTED": "RATE_LIMIT_EXCEEDED"}

Answering = Callable[[HttpRequest], Awaitable[HttpResponse]]


class NoSuchEntryError(protocol.InvalidRequestError):
    """There is no entry with this identifier."""

    http_status, grpc_status = 404, "NOT_FOUND"


class NotImplementedHereError(protocol.UnsupportedOperationError):
    """This registry does not count entries by their members."""

    http_status, grpc_status = 501, "UNIMPLEMENTED"


async def answered(request: HttpRequest, answer: Answering) -> HttpResponseBase:
    """Return an answer, or the error in ARD's form (Appendix B)."""
    try:
        if conf.current().requests_per_minute:
            await throttle(request, "")
        return await answer(request)
    except (OperationalError, InterfaceError) as error:
        if not database.note_away(error):
            raise
        return _refusal(protocol.UnavailableError())
    except protocol.A2AError as error:
        return _refusal(error)


def _refusal(error: protocol.A2AError) -> HttpResponse:
    code = _CODES.get(error.grpc_status, error.grpc_status)
    headers = {}
    if isinstance(error, protocol.UnavailableError):
        headers["Retry-After"] = str(error.whole_seconds)
    body = {"errorCode": code, "message": error.message}
    return JsonResponse(body, status=error.http_status, headers=headers)


async def search(request: HttpRequest) -> HttpResponse:
    """Return the entries that fit a query, the best first (section 5.3.2)."""
    asked = read_json_object(request)
    query = asked.get("query")
    if not isinstance(query, dict) or not isinstance(query.get("text"), str):
        raise protocol.InvalidParamsError.of("query.text", "is required, as a string")
    if len(query["text"]) > MAX_QUERY_CHARACTERS:
        raise protocol.InvalidParamsError.of(
            "query.text", f"must not be longer than {MAX_QUERY_CHARACTERS} characters"
        )
    if asked.get("federation", FEDERATION[0]) not in FEDERATION:
        raise protocol.InvalidParamsError.of("federation", f"is one of {', '.join(FEDERATION)}")
    entries = await entries_for(request, is_personal=is_personal(request))
    # A thousand entries take a quarter of a second or more, in which others want to be served.
    found = await asyncio.to_thread(_found, entries, query)
    page, more = _page(found, asked, PAGE_SIZE)
    source = registry_url(request)
    answer: Json = {
        "results": [
            {**_without_queries(entry), "score": score, "source": source} for score, entry in page
        ]
    }
    if asked.get("federation") == "referrals":
        answer["referrals"] = []
    response = JsonResponse({**answer, **more})
    # What is found depends on the body, and perhaps on the caller.
    response["Cache-Control"] = "no-store"
    return response


def _found(entries: list[Json], query: Json) -> list[tuple[int, Json]]:
    return ranked(filtered(entries, query.get("filter", {})), query["text"])


async def list_entries(request: HttpRequest) -> HttpResponse:
    """Return all entries, or those that a filter leaves, page by page (section 5.3.5)."""
    entries = await entries_for(request, is_personal=is_personal(request))
    if wanted := request.GET.get("filter"):
        entries = selected(entries, wanted)
    if order := request.GET.get("orderBy"):
        entries = ordered(entries, order)
    page, more = _page(entries, request.GET, LIST_SIZE)
    return _cacheable(request, {"items": page, "total": len(entries), **more})


async def find_entry(request: HttpRequest, identifier: str) -> HttpResponse:
    """Return the entry with an identifier (section 5.3.4)."""
    for entry in await entries_for(request, is_personal=is_personal(request)):
        if entry["identifier"] == identifier:
            return _cacheable(request, entry)
    raise NoSuchEntryError


async def explore(request: HttpRequest) -> HttpResponse:
    """Refuse to count entries by their members, which registries need not do (section 5.3.3)."""
    raise NotImplementedHereError


def _cacheable(request: HttpRequest, value: Json) -> HttpResponse:
    body = json.dumps(value, ensure_ascii=False)
    if is_personal(request):
        return private_response(request, body)
    response = public_response(request, body)
    patch_vary_headers(response, declared_security().headers)
    return response


def _page(found: list[Any], asked: Any, default: int) -> tuple[list[Any], Json]:
    size = _number(asked, "pageSize", default, most=MAX_PAGE_SIZE)
    begin = _number(asked, "pageToken", 0, most=len(found))
    end = begin + max(size, 1)
    return found[begin:end], {"pageToken": str(end)} if end < len(found) else {}


def _number(asked: Any, name: str, default: int, *, most: int) -> int:
    value = asked.get(name, default)
    if isinstance(value, bool) or not str(value).isascii() or not str(value).isdecimal():
        raise protocol.InvalidParamsError.of(name, "is not a number, or not one of this server's")
    # No number of any length: Python refuses to read those.
    return min(int(str(value)[:9]), most)


def _without_queries(entry: Json) -> Json:
    # They are there to be found by, and not to be shown (section 5.3.2).
    return {name: value for name, value in entry.items() if name != "representativeQueries"}
