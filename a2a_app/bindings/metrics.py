"""Metrics: the site's figures at a URL, for Prometheus and what reads its format."""

import re
from collections.abc import Callable

from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.wsgi import WSGIRequest
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.cache import add_never_cache_headers
from django.utils.crypto import constant_time_compare

from a2a_app import conf, figures
from a2a_app.bindings.calls import header
from a2a_app.bindings.unserved import refuse
from a2a_app.bindings.wsgi import do_on_lasting_loop
from a2a_app.protocol import UnauthenticatedError

Writer = Callable[[figures.Figures, str], tuple[bytes, str]]
_BEARER = re.compile(r"bearer +(\S+) *", re.IGNORECASE)


async def serve_metrics(request: HttpRequest) -> HttpResponse:
    """Answer with the figures to whoever shows the token of METRICS_TOKEN.

    Raises:
        Http404: There is no such token, so nobody may read them.
    """
    token = conf.current().metrics_token
    if not token:
        raise Http404(f"{conf.NAME}['METRICS_TOKEN'] is not set.")
    shown = _BEARER.fullmatch(header(request, "Authorization"))
    if shown is None or not constant_time_compare(shown[1], token):
        refused = refuse(request, UnauthenticatedError("The figures are for those with the token."))
        refused["WWW-Authenticate"] = 'Bearer realm="metrics"'
        return refused
    asked = figures.fetch()
    found = await (do_on_lasting_loop(asked) if isinstance(request, WSGIRequest) else asked)
    text, media_type = metrics_writer()(found, header(request, "Accept"))
    response = HttpResponse(text, content_type=media_type)
    add_never_cache_headers(response)
    return response


def metrics_writer() -> Writer:
    """Return what writes figures for Prometheus.

    Raises:
        ImproperlyConfigured: It is not installed.
    """
    try:
        from a2a_app.figures import prometheus  # loaded here: it needs the extra `prometheus`
    except ImportError as error:
        raise ImproperlyConfigured(
            f"{conf.NAME}['METRICS_TOKEN'] needs prometheus_client: "
            "pip install 'django-agent2agent[prometheus]'"
        ) from error
    return prometheus.write_figures
