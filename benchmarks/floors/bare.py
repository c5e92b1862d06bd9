"""The lowest floor: an ASGI application that reads a request and answers it."""

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, Scope


async def application(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Answer anything with an empty object."""
    assert scope["type"] == "http"
    more = True
    while more:
        message = await receive()
        more = message["type"] == "http.request" and message["more_body"]
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    await send(
        {"type": "http.response.start", "status": 200, "headers": headers, "trailers": False}
    )
    await send({"type": "http.response.body", "body": b"{}", "more_body": False})
