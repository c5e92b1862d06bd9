"""The URLs of the app: `path("", include("a2a_app.urls"))`, at the root for the well-known card."""

from django.urls import include, path

from a2a_app.bindings.api import api

# Not called `app_name`, from which Django would make a namespace around this one.
_patterns, _app_name, _namespace = api.urls
urlpatterns = [path("", include((_patterns, _app_name), namespace=_namespace))]
