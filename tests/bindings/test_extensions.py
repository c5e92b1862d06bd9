"""Extensions over JSON-RPC (section 4.6): what is required, and what is activated."""

from typing import Any

import pytest

from a2a_app.agents import AgentExtension, Turn, registry
from a2a_app.agents.registry import make_agent
from a2a_app.operations import OPERATIONS
from tests.bindings.conftest import Rpc, body_of, error_of, events_of
from tests.rpc import envelope, message

NOBODY = "00000000-0000-7000-8000-000000000000"
EXTENSION = (-32008, "EXTENSION_SUPPORT_REQUIRED")

URI, OTHER = "https://example.com/ext/one", "https://example.com/ext/two"


async def says_its_extensions(turn: Turn) -> None:
    await turn.complete(" ".join(turn.extensions) or "none")


def extended(*, required: bool) -> Any:
    extensions = [AgentExtension(uri=URI, required=required), AgentExtension(uri=OTHER)]
    made = make_agent(says_its_extensions, slug="extended", extensions=extensions)
    return registry.registered(made)


@pytest.mark.parametrize("method", OPERATIONS)
async def test_an_extension_that_the_agent_requires_must_be_named(rpc: Rpc, method: str) -> None:
    params = {"id": NOBODY, "message": message(), "taskId": NOBODY}
    with extended(required=True):
        for headers in ({}, {"A2A_Extensions": OTHER}, {"A2A_Extensions": f"{URI}/more"}):
            answer = await rpc.call(method, params, agent="extended", **headers)
            assert error_of(answer) == EXTENSION
            assert answer["error"]["data"][0]["metadata"] == {"uri": URI}


@pytest.mark.parametrize(
    ("named", "activated"),
    [
        ("", ""),
        (URI, URI),
        (f" {OTHER} ,{URI},", f"{URI}, {OTHER}"),
        (f"https://example.com/unknown,{OTHER}", OTHER),
        ("https://example.com/unknown", ""),
    ],
)
async def test_activated_extensions_come_back_and_reach_the_agent(
    rpc: Rpc, named: str, activated: str
) -> None:
    path = "/a2a/extended/"
    with extended(required=False):
        request = envelope("SendMessage", {"message": message()})
        response = await rpc.post(request, path=path, A2A_Extensions=named)
        request = envelope("SendStreamingMessage", {"message": message()})
        stream = await rpc.post(request, path=path, A2A_Extensions=named)
        await events_of(stream)
    assert response.get("A2A-Extensions", "") == stream.get("A2A-Extensions", "") == activated
    (part,) = body_of(response)["result"]["task"]["status"]["message"]["parts"]
    assert part["text"] == (activated.replace(",", "") or "none")
