"""The WebSocket binding without a socket: frames to the project inside the test's own process."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from asgiref.testing import ApplicationCommunicator

from a2a_app.asgi import get_asgi_application
from tests.wire import strict_json

SECONDS = 20
communicator: Any = ApplicationCommunicator


class WebSocketClient:
    """One connection to an agent; use as a context manager, which opens and closes it."""

    def __init__(self, agent: str = "load", *, scope: Any = None, **headers: str) -> None:
        given = [
            (name.lower().replace("_", "-").encode(), value.encode())
            for name, value in headers.items()
        ]
        asked: Any = {
            "type": "websocket", "path": f"/a2a/{agent}/", "query_string": b"", "headers": given,
            "subprotocols": ["a2a.v1"], **(scope or {}),
        }  # fmt: skip  # as ASGI has it
        self._ends = communicator(get_asgi_application(), asked)
        self.opened: dict[str, Any] = {}

    async def __aenter__(self) -> "WebSocketClient":
        await self._ends.send_input({"type": "websocket.connect"})
        self.opened = await self.next_message()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.opened["type"] == "websocket.accept":
            await self._ends.send_input({"type": "websocket.disconnect", "code": 1000})
        await self._ends.wait(SECONDS)

    @property
    def is_accepted(self) -> bool:
        """Whether the handshake was accepted."""
        return bool(self.opened["type"] == "websocket.accept")

    async def next_message(self) -> dict[str, Any]:
        """Return the next message of ASGI that the server sends."""
        message: dict[str, Any] = await self._ends.receive_output(SECONDS)
        return message

    async def send(self, frame: object) -> None:
        """Send a frame: a text as it is, bytes as a binary one, anything else as JSON."""
        kind = "bytes" if isinstance(frame, bytes) else "text"
        given = frame if isinstance(frame, str | bytes) else json.dumps(frame)
        await self._ends.send_input({"type": "websocket.receive", kind: given})

    async def receive(self) -> dict[str, Any]:
        """Return the next frame."""
        message = await self.next_message()
        assert message["type"] == "websocket.send", message
        frame: dict[str, Any] = strict_json(message["text"])
        return frame

    async def ask(
        self, request_id: object, method: str, /, headers: Any = None, **params: Any
    ) -> None:
        """Send a call."""
        frame = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
        await self.send(frame if headers is None else {**frame, "headers": headers})

    async def call(self, method: str, /, headers: Any = None, **params: Any) -> dict[str, Any]:
        """Return the frame that answers a call, where no other call is open."""
        await self.ask("one", method, headers=headers, **params)
        frame = await self.receive()
        assert frame["id"] == "one", frame
        return frame

    async def result(self, method: str, /, **params: Any) -> Any:
        """Return the result of a call; fail where there is an error."""
        frame = await self.call(method, **params)
        assert "result" in frame, frame
        return frame["result"]

    async def stream(self, method: str, /, **params: Any) -> AsyncIterator[dict[str, Any]]:
        """Yield the frames of a stream, where no other call is open, up to the one that ends it."""
        await self.ask("stream", method, **params)
        async with asyncio.timeout(SECONDS):
            while "streamEnd" not in (frame := await self.receive()):
                yield frame
