"""Views that do nothing, Django's and django-ninja's, in place of all of the project's URLs."""

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from ninja import NinjaAPI

api = NinjaAPI(urls_namespace="floor", docs_url=None, openapi_url=None)


@csrf_exempt
async def nothing(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"{}", content_type="application/json")


api.post("/")(nothing)

urlpatterns = [path("django/", nothing), path("ninja/", api.urls)]
