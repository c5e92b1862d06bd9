"""Ways to send a message: each binding in each version, answered or streamed."""

from dataclasses import dataclass
from typing import Any

from django.http.response import HttpResponseBase

from tests.clients.json_rpc import JsonRpcClient, events_of
from tests.wire import envelope, strict_json

_METHODS = {
    "1.0": ("SendMessage", "SendStreamingMessage"),
    "0.3": ("message/send", "message/stream"),
}


@dataclass(frozen=True, slots=True)
class Way:
    """One binding in one version, answered or streamed. What is sent is the same in all."""

    binding: str
    version: str
    streams: bool = False

    def __str__(self) -> str:
        return f"{self.binding}-{self.version}{'-stream' if self.streams else ''}"

    @property
    def extensions_header(self) -> str:
        """The header of this version."""
        return "A2A-Extensions" if self.version == "1.0" else "X-A2A-Extensions"

    async def send(
        self, rpc: JsonRpcClient, params: dict[str, Any], *, agent: str, **headers: str
    ) -> HttpResponseBase:
        """Send a message."""
        named = {"A2A_Version": self.version, **headers}
        if self.binding == "jsonrpc":
            method = _METHODS[self.version][self.streams]
            if self.version == "0.3":
                params = {**params, "message": _with_kinds(params["message"])}
            return await rpc.post(envelope(method, params), path=f"/a2a/{agent}/", **named)
        step = "/v1" if self.version == "0.3" else ""
        path = f"/a2a/{agent}{step}/message:{'stream' if self.streams else 'send'}"
        if not self.streams and self.version == "0.3" and "configuration" in params:
            # In 0.3 over HTTP+JSON, a configuration without `blocking` means not to wait.
            params = {**params, "configuration": {"blocking": True, **params["configuration"]}}
        return await rpc.post(params, path=path, **named)


WAYS = [
    Way(binding, version, streams)
    for binding in ("jsonrpc", "http-json")
    for version in ("1.0", "0.3")
    for streams in (False, True)
]


def _with_kinds(message: dict[str, Any]) -> dict[str, Any]:
    """Say of each part what it is, as JSON-RPC of 0.3 has it."""
    kinds = ("text", "file", "data")
    parts = [
        {"kind": next((kind for kind in kinds if kind in part), ""), **part}
        for part in message["parts"]
    ]
    return {**message, "parts": parts}


async def answers_of(response: HttpResponseBase) -> list[dict[str, Any]]:
    """Return what an answer or a stream holds, without envelopes: results, events or an error."""
    if response["Content-Type"] == "text/event-stream":
        bodies = await events_of(response)
    else:
        bodies = [strict_json(response.content)]  # type: ignore[attr-defined]  # no stream
    return [body.get("result", body) for body in bodies]


def task_id_of(answer: dict[str, Any]) -> str:
    """Return the id of the task that an answer has, in whichever version."""
    assert "error" not in answer, answer
    return str(answer.get("task", answer)["id"])


def code_of(answer: dict[str, Any]) -> tuple[Any, str]:
    """Return the code of an error and its text; where it has no code of JSON-RPC, its reason."""
    error = answer.get("error", answer)
    if "details" in error:
        return error["details"][0]["reason"], error["message"]
    return error["code"], error["message"]
