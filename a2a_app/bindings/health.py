"""Probes: URLs at which load balancers and Kubernetes ask for the health of a process.

They need no credentials, and tell nothing but states.
"""

from dataclasses import asdict

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.cache import add_never_cache_headers

from a2a_app import health
from a2a_app.bindings.wsgi import do_on_lasting_loop


async def serve_live(request: HttpRequest) -> HttpResponse:
    """Answer that the process answers. It asks nobody, so it fails only where a restart helps."""
    return _never_cached(JsonResponse({"status": "live"}))


async def serve_ready(request: HttpRequest) -> HttpResponse:
    """Answer 200 where the process should get requests, and 503 where it should get none now."""
    asked = health.readiness()
    is_wsgi = isinstance(request, WSGIRequest)
    found = await (do_on_lasting_loop(asked) if is_wsgi else asked)
    states = {name: "ok" if is_well else "away" for name, is_well in asdict(found).items()}
    if not found.migrations and found.database:
        states["migrations"] = "missing"
    status = {"status": "ready" if found.is_ready else "not ready", **states}
    return _never_cached(JsonResponse(status, status=200 if found.is_ready else 503))


def _never_cached(response: HttpResponse) -> HttpResponse:
    add_never_cache_headers(response)
    return response
