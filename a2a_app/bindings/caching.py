"""Caching: what clients and caches may keep of an answer, and how they ask again (section 8.6)."""

from hashlib import sha256
from typing import cast

from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.http import http_date

from a2a_app import conf
from a2a_app.bindings.security import declared_security


def public_answer(
    request: HttpRequest, body: str, *, changed_at: float, same_as: str = ""
) -> HttpResponse:
    """Answer with JSON that is the same for everybody, or with 304 where the client has it.

    Args:
        request: May name what the client has, by If-None-Match or by If-Modified-Since.
        body: The JSON.
        changed_at: The moment, in seconds, since when it has been so.
        same_as: What all bodies that say this have in common; empty: the body itself.
    """
    max_age = conf.current().card_max_age
    response = _conditional(
        request, body, same_as, f"public, max-age={max_age}", last_modified=int(changed_at)
    )
    # Pages of any site may read what anybody may read.
    response["Access-Control-Allow-Origin"] = "*"
    response["Access-Control-Expose-Headers"] = "ETag"
    return response


def private_answer(request: HttpRequest, body: str, *, same_as: str = "") -> HttpResponse:
    """Answer with JSON that is for this caller only, or with 304 where the client has it.

    Each use must ask again: what it depends on besides the caller, nobody knows.
    """
    response = _conditional(request, body, same_as, "private, max-age=0, must-revalidate")
    patch_vary_headers(response, declared_security().headers)
    return response


def _conditional(
    request: HttpRequest,
    body: str,
    same_as: str,
    cache_control: str,
    last_modified: int | None = None,
) -> HttpResponse:
    # Weak: it stands for what is said, which two processes may say in different bytes.
    etag = f'W/"{sha256((same_as or body).encode()).hexdigest()[:32]}"'
    response = HttpResponse(body, content_type="application/json")
    response["ETag"] = etag
    response["Cache-Control"] = cache_control
    if last_modified is not None:
        response["Last-Modified"] = http_date(last_modified)
    # Gives nothing else: these are answers to GET and HEAD.
    return cast("HttpResponse", get_conditional_response(request, etag, last_modified, response))
