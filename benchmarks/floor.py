"""The floor: a django-ninja view that does nothing, in place of all of the project's URLs."""

from django.http import HttpRequest, HttpResponse
from django.urls import path
from ninja import NinjaAPI

api = NinjaAPI(urls_namespace="floor", docs_url=None, openapi_url=None)


@api.post("/")
async def nothing(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"{}", content_type="application/json")


urlpatterns = [path("", api.urls)]
