"""The project's agents as the tools of an MCP server: `path("mcp/", serve_mcp)`."""

try:
    import mcp as _mcp  # noqa: F401  # asks only whether it is there
except ImportError as error:
    raise ImportError(
        "a2a_app.mcp needs the SDK of MCP: pip install 'django-agent2agent[mcp]'"
    ) from error

from a2a_app.mcp.view import serve_mcp as serve_mcp
