"""The URLs of the tests of MCP."""

from django.urls import include, path

from a2a_app.mcp import serve_mcp

urlpatterns = [path("", include("a2a_app.urls")), path("mcp/", serve_mcp)]
