"""Settings of the tests of MCP: those of the tests, with an MCP server beside the API.

And with what a project may have switched on that gets in the way of other views.
"""

from tests.bindings.strict import *  # noqa: F403

ROOT_URLCONF = "tests.contrib.mcp_urls"
