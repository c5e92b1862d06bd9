"""The URLs of the app: `path("", include("a2a_app.urls"))`, at the root for the well-known card."""

from django.urls import include, path

from a2a_app.bindings.api import api
from a2a_app.pages.agent import agent_page, catalogue_page
from a2a_app.pages.console import urlpatterns as console_patterns

api.agent_page, api.catalogue_page = agent_page, catalogue_page
# Not called `app_name`, from which Django would make a namespace around this one.
_patterns, _app_name, _namespace = api.urls
urlpatterns = [
    # First: the last one of the others takes all that is below /a2a/.
    path("a2a/", include(console_patterns)),
    path("", include((_patterns, _app_name), namespace=_namespace)),
]
