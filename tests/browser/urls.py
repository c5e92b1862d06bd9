"""The URLs of the site that browsers visit: those of the project, and some for the tests."""

from django.contrib.auth import login, logout
from django.contrib.auth.models import Permission, User
from django.contrib.staticfiles.views import serve
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.urls import path

from project.urls import urlpatterns as project_urls

FAULTY = (
    """<!doctype html>
<html lang="en"><title>Faulty</title><main class="a2a">
<p style="color: red">An inline style</p>
<script>document.title = "An inline script"</script>
<img src="http://192.0.2.1/there.png" alt="An image of another site">
<img src="/static/nowhere.png">
<table><tr><td>"""
    + "wide" * 500
    + """</td></tr></table>
<script src="/static/admin/js/actions.js" onload="alert(1)"></script>
</main></html>"""
)


def sign_in(request: HttpRequest) -> HttpResponse:
    """Sign in a member of staff with the permissions named; where none is, with all."""
    named = request.GET.getlist("permission")
    user, _ = User.objects.get_or_create(
        username="-".join(named) or "boss", is_staff=True, is_superuser=not named
    )
    user.user_permissions.set(Permission.objects.filter(codename__in=named))
    login(request, user)
    return HttpResponse("You are in.")


def sign_out(request: HttpRequest) -> HttpResponse:
    """Sign out whoever asks for it."""
    logout(request)
    return HttpResponse("You are out.")


def faulty(request: HttpRequest) -> HttpResponse:
    """Show a page with a fault of each kind, which a visitor must notice."""
    return HttpResponse(FAULTY)


def page_of_project(request: HttpRequest) -> HttpResponse:
    """Show a page as a project may have it, with a chat in it."""
    page = """<!doctype html><html lang="en" class="a2a-page"><title>Help</title>
    <main>{% load a2a %}<h1>Help</h1>{% a2a_chat "travel-desk" %}</main></html>"""
    return HttpResponse(engines["django"].from_string(page).render({}, request))


def no_icon(request: HttpRequest) -> HttpResponse:
    """Answer browsers, which ask every site for an icon."""
    return HttpResponse(status=204)


urlpatterns = [
    path("favicon.ico", no_icon),
    path("faulty/", faulty),
    path("help/", page_of_project),
    path("sign-in/", sign_in),
    path("sign-out/", sign_out),
    path("static/<path:path>", serve, {"insecure": True}),
    *project_urls,
]
