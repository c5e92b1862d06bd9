from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from a2a_app.agents import registry
from a2a_app.pages.access import is_on
from project.examples import streaming_curl


@login_not_required
def index(request: HttpRequest) -> HttpResponse:
    """Show the agents, and a command to try."""
    base = request.build_absolute_uri("/").rstrip("/")
    return render(
        request,
        "index.html",
        {
            "agents": list(registry),
            "curl": streaming_curl(base),
            "base": base,
            "has_console": is_on(),
        },
    )
