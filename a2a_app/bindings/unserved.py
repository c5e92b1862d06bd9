"""What no operation answers: URLs that there are not, other verbs, HEAD and OPTIONS, bad hosts.

Programs ask, and so each answer is an error of HTTP+JSON (section 11.6), and never a page of HTML.
"""

import re
from functools import partial

from django.core.exceptions import DisallowedHost, PermissionDenied, TooManyFieldsSent
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from a2a_app import database, protocol
from a2a_app.bindings.callers import visible_agent
from a2a_app.bindings.dialects import CURRENT
from a2a_app.bindings.jsonrpc import JsonRpcResponder
from a2a_app.bindings.responders import View, refusal_of, with_refusals
from a2a_app.bindings.rest import RestResponder
from a2a_app.bindings.v03 import PLAIN_METHODS

REFUSALS = (DisallowedHost, PermissionDenied, TooManyFieldsSent)
"""Django's errors that refuse a request, for which it would answer with a page."""

_PATH_OF_JSON_RPC = re.compile(r"/a2a/[^/]+/?$")
# What a browser has to hear before it lets a script of another site send these headers.
_PREFLIGHT = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": f"{protocol.VERSION_HEADER}, If-None-Match",
    "Access-Control-Max-Age": "86400",
}
# The routes of 0.3 have one segment more, and their errors another form.
_PATH_OF_03 = re.compile(r"/a2a/[^/]+/v1/")
_DIALECT_03 = PLAIN_METHODS["GetTask"].dialect


class NoSuchUrlError(protocol.InvalidRequestError):
    """There is nothing at this URL."""

    http_status, grpc_status = 404, "NOT_FOUND"


class VerbNotAllowedError(protocol.InvalidRequestError):
    """This URL does not take this HTTP method."""

    http_status, grpc_status = 405, "UNIMPLEMENTED"


@csrf_exempt
async def nothing_here(request: HttpRequest, **fields: str) -> HttpResponseBase:
    """Answer that there is nothing at a URL."""
    return refuse(request, NoSuchUrlError())


def refuse(request: HttpRequest, error: Exception | type[Exception]) -> HttpResponse:
    """Return the response that reports an error, such as Django's Http404."""
    if isinstance(error, REFUSALS):
        refused = refusal_of(error)
        is_json_rpc = _PATH_OF_JSON_RPC.search(request.path_info) is not None
        if isinstance(error, DisallowedHost) and request.method == "POST" and is_json_rpc:
            # It is not known yet which request of the client's it is.
            return JsonRpcResponder().refuse(refused)
        error = refused
    elif not isinstance(error, protocol.A2AError):
        error = NoSuchUrlError(str(error) or None)
    is_of_03 = _PATH_OF_03.search(request.path_info) is not None
    return RestResponder(request, _DIALECT_03 if is_of_03 else CURRENT).refuse(error)


def refuse_while_away(request: HttpRequest, error: Exception | type[Exception]) -> HttpResponse:
    """Answer that the database is away; raise the error again if it does not say so.

    A page needs the database only where a hook of the project asks it, such as who the caller is.
    """
    if isinstance(error, Exception) and database.note_away(error):
        return refuse(request, protocol.UnavailableError())
    raise error


def with_all_verbs(view: View, page: View | None = None, *, is_public: bool = False) -> View:
    """Return a view that answers HEAD where it answers GET, OPTIONS, and all that it refuses.

    Args:
        view: The view.
        page: Answers a browser that asks for something to read, where the view answers no GET.
        is_public: Whether scripts of any site may read what the view answers.
    """
    return with_refusals(view, partial(_answer_refused, page, is_public), refuse)


async def _answer_refused(
    page: View | None,
    is_public: bool,
    view: View,
    refused: HttpResponseBase,
    request: HttpRequest,
    *args: str,
    **fields: str,
) -> HttpResponseBase:
    """Answer a request whose verb a view does not take; `refused` is django-ninja's answer."""
    if page is not None and wants_page(request):
        answer = await page(request, fields["slug"])
        return _headers_of(answer) if request.method == "HEAD" else answer
    if (slug := fields.get("slug")) is not None:
        try:
            await visible_agent(request, slug)
        except (Http404, protocol.A2AError) as error:
            return refuse(request, error)
    allowed = _allowed(refused)
    if request.method == "HEAD" and "HEAD" in allowed:
        request.method = "GET"
        return _headers_of(await view(request, *args, **fields))
    if request.method == "OPTIONS":
        headers = {"Allow": ", ".join(allowed), **(_PREFLIGHT if is_public else {})}
        return HttpResponse(status=204, headers=headers)
    refusal = refuse(request, VerbNotAllowedError())
    refusal["Allow"] = ", ".join(allowed)
    return refusal


def wants_page(request: HttpRequest) -> bool:
    """Tell whether a request is that of a browser, or of whatever else reads pages."""
    is_read = request.method in ("GET", "HEAD")
    return is_read and "text/html" in request.headers.get("Accept", "")


def _allowed(response: HttpResponseBase) -> list[str]:
    """Return the verbs that a URL takes, by django-ninja's answer to another one."""
    verbs = {verb.strip() for verb in response["Allow"].split(",")} | {"OPTIONS"}
    return sorted(verbs | {"HEAD"} if "GET" in verbs else verbs)


def _headers_of(response: HttpResponseBase) -> HttpResponse:
    """Return a response without its body. A stream that nobody reads is closed by itself."""
    answered = HttpResponse(status=response.status_code, headers=response.headers)
    if isinstance(response, HttpResponse):
        answered["Content-Length"] = str(len(response.content))
    response.close()
    return answered
