"""The view of the MCP server, and the exchange in which the SDK answers one of its requests.

Each request has a server of the SDK to itself, which knows its caller and ends with it. So there
are no sessions: any process may answer any request, and nothing has to begin before the first one.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import anyio
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from mcp.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from pydantic_core import to_json

from a2a_app import protocol
from a2a_app.bindings.calls import admit, read_json
from a2a_app.bindings.jsonrpc import JsonRpcResponder
from a2a_app.bindings.ninja_api import exempt
from a2a_app.mcp.tools import Tools

# They are of the body as it came. What the SDK gets is unpacked, and may be shorter or longer.
_OF_THE_BODY = (b"content-length", b"content-encoding")


class McpResponder(JsonRpcResponder):
    """Refuses requests as JSON-RPC does, with the status of HTTP that each error has."""

    binding = "MCP"

    def status(self, error: protocol.A2AError) -> int:
        """Return the status of an error."""
        return error.http_status


@exempt
@csrf_exempt
@require_POST
async def serve_mcp(request: HttpRequest) -> HttpResponseBase:
    """Answer a request of an MCP client, whose tools are the agents that its caller sees.

    Callers, origins and sizes are checked as they are for the API. See docs/mcp.md.
    """
    return await McpResponder().answer(_serve(request), request)


async def _serve(request: HttpRequest) -> HttpResponseBase:
    if not isinstance(request, ASGIRequest):
        raise protocol.UnsupportedOperationError("The MCP server needs ASGI.")
    request.get_host()  # Refuses a host that is not allowed; a project may have no middleware.
    caller = await admit(request)
    body = to_json(read_json(request))
    return await Exchange(request.scope, body).answer(Tools(request, caller).server())


class Exchange:
    """One request and its response, as the SDK's server sees them: by ASGI.

    The SDK works in a task of its own, because its cancel scopes have to be left in the task in
    which they were entered, and Django reads a response in another one than the view's.
    """

    def __init__(self, scope: Mapping[str, Any], body: bytes) -> None:
        kept = [header for header in scope["headers"] if header[0] not in _OF_THE_BODY]
        length = (b"content-length", str(len(body)).encode())
        self._scope = {**scope, "headers": [*kept, length]}
        self._body = body
        self._is_read = False
        # Without room: the SDK waits for the reader of the response.
        self._sender, self._sent = anyio.create_memory_object_stream[Any](0)

    async def answer(self, server: Server[Any]) -> HttpResponseBase:
        """Return the response once its status is known; the rest of a stream comes as it is sent.

        Raises:
            Exception: What the SDK raised before it sent anything.
        """
        self._work = asyncio.create_task(self._run(server))
        try:
            start, first = await self._sent.receive(), await self._sent.receive()
        except anyio.EndOfStream:
            await self._work
            raise
        except BaseException:
            await self._end()
            raise
        headers = {
            key.decode("latin-1"): value.decode("latin-1") for key, value in start["headers"]
        }
        if not first.get("more_body"):
            await self._work
            return HttpResponse(first.get("body", b""), status=start["status"], headers=headers)
        chunks = self._chunks(first)
        # Python closes a generator that has begun, also if Django never reads it.
        await anext(chunks)
        return StreamingHttpResponse(chunks, status=start["status"], headers=headers)

    async def _chunks(self, first: dict[str, Any]) -> AsyncGenerator[bytes, None]:
        try:
            yield b""
            yield first["body"]
            async for message in self._sent:
                yield message.get("body", b"")
        finally:
            await self._end()

    async def _end(self) -> None:
        """End the SDK's work, if it goes on: nobody reads what it sends."""
        self._work.cancel()
        # What it raises is of no use to anybody now; the SDK logs its own faults.
        await asyncio.wait([self._work])
        if not self._work.cancelled():
            self._work.exception()

    async def _run(self, server: Server[Any]) -> None:
        manager = StreamableHTTPSessionManager(
            server, stateless=True, max_request_body_size=len(self._body)
        )
        async with self._sender, manager.run():
            await manager.handle_request(self._scope, self._receive, self._sender.send)

    async def _receive(self) -> dict[str, Any]:
        if self._is_read:
            # When the client has gone, Django cancels what it waits for, and `_end` is called.
            await asyncio.Event().wait()
        self._is_read = True
        return {"type": "http.request", "body": self._body}
