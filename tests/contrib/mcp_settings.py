"""Settings of the tests of MCP: those of the tests, with an MCP server beside the API."""

from tests.settings import *  # noqa: F403

ROOT_URLCONF = "tests.contrib.mcp_urls"
