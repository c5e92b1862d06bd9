"""Views of Django and django-ninja that do next to nothing, in place of the project's."""

from uuid import uuid4

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from ninja import NinjaAPI

from a2a_app import database

api = NinjaAPI(urls_namespace="floor", docs_url=None, openapi_url=None)


@csrf_exempt
async def nothing(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"{}", content_type="application/json")


@csrf_exempt
async def two_commits(request: HttpRequest) -> HttpResponse:
    for _ in range(2):
        await database.run(_commit_a_row)
    return HttpResponse(b"{}", content_type="application/json")


def _commit_a_row() -> None:
    with database.connection().cursor() as cursor:
        cursor.execute("INSERT INTO django_session VALUES (%s, '', now())", [uuid4().hex])


@csrf_exempt
async def one_read(request: HttpRequest) -> HttpResponse:
    await database.run(_read_a_row)
    return HttpResponse(b"{}", content_type="application/json")


def _read_a_row() -> None:
    with database.connection().cursor() as cursor:
        cursor.execute("SELECT * FROM django_migrations WHERE id = %s", [1])
        cursor.fetchall()


api.post("/")(nothing)

urlpatterns = [
    path("django/", nothing),
    path("commits/", two_commits),
    path("read/", one_read),
    path("ninja/", api.urls),
]
