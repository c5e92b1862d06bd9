"""The official JavaScript SDK's clients, of 1.0 and of 0.3, against a real server."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from tests.acceptance import installed
from tests.servers import ROOT, Process, served

SDKS = {"1.0": "@a2a-js/sdk@1", "0.3": "@a2a-js/sdk@0.3"}
BINDINGS = ("JSONRPC", "HTTP+JSON")
CLIENT = ROOT / "tests" / "acceptance" / "client.mjs"
SECONDS = 60
Report = dict[str, Any]

# What the client of 0.3 raises, the code by which it knows the error, and the first words.
NOT_FOUND = ("TaskNotFound", -32001, "Task not found")
UNSUPPORTED = ("UnsupportedOperation", -32004, "The task has ended: completed. It takes")
NO_WEBHOOKS = ("PushNotificationNotSupported", -32003, "The agent does not send")
NO_PICTURES = ("ContentTypeNotSupported", -32005, "Part 1 of the message is image/png")
CUT_OFF = "a body that is cut off"
ERRORS = {
    "a task that is nobody's": NOT_FOUND,
    "a cancel of nobody's task": NOT_FOUND,
    "a message to nobody's task": NOT_FOUND,
    "a webhook of nobody's task": NOT_FOUND,
    "a stream of nobody's task": NOT_FOUND,
    "a cancel of what has ended": ("TaskNotCancelable", -32002, "The task has ended: completed."),
    "a webhook where none is called": NO_WEBHOOKS,
    "a message to what has ended": UNSUPPORTED,
    "a stream to what has ended": UNSUPPORTED,
    "a picture for a reader": NO_PICTURES,
    "an answer that is none": ("InvalidAgentResponse", -32006, "The agent answered with an empty"),
    "a card that there is not": ("AuthenticatedExtendedCardNotConfigured", -32007, "The agent has"),
    CUT_OFF: ("JSONRPCTransport", -32700, "Invalid JSON payload"),
    "another version of JSON-RPC": ("JSONRPCTransport", -32600, 'jsonrpc must be "2.0".'),
    "an agent that breaks": ("JSONRPCTransport", -32603, "The agent failed. Reference: "),
    "a message without an id": ("JSONRPCTransport", -32602, "Invalid parameters"),
    "a method that there is not": ("JSONRPCTransport", -32601, "There is no method"),
}

# Over HTTP+JSON each method has a URL, and bodies have no envelope.
OF_JSON_RPC = ("a method that there is not", "another version of JSON-RPC")

# The first run of all installs the SDKs.
pytestmark = pytest.mark.timeout(installed.SECONDS + SECONDS)


@pytest.fixture(scope="module")
def only_server() -> Iterator[Process]:
    with served("sqlite", "daphne") as process:
        yield process


@pytest.fixture(scope="module", params=product(SDKS, BINDINGS), ids="-".join)
def report(only_server: Process, request: pytest.FixtureRequest) -> Report:
    """Let the client do what clients do, and return what it saw."""
    version, binding = request.param
    folder = installed.node_with(SDKS[version])
    # Node looks for packages beside the script, and nowhere else.
    script = shutil.copy(CLIENT, folder)
    command = [installed.BIN / "node", script, version, only_server.url, binding]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr + only_server.output()
    seen: Report = {"binding": binding, **json.loads(done.stdout)}
    transport = "RestTransport" if binding == "HTTP+JSON" else "JsonRpcTransport"
    assert seen.pop("spoken").strip("_") == transport
    return seen


def test_it_sends_a_message_and_gets_the_task(report: Report) -> None:
    assert report["sent"] == {"state": "COMPLETED", "chunks": [0, 1, 2]}


def test_it_streams_every_event_once_and_in_order(report: Report) -> None:
    states = ["SUBMITTED", "WORKING", "COMPLETED"]
    assert report["streamed"] == {"states": states, "chunks": [0, 1, 2]}


def test_it_has_the_text_of_a_generator_once(report: Report) -> None:
    assert report["yielded"] == "Lisbon is lovely "


def test_it_comes_back_to_a_stream_and_cancels_the_task(report: Report) -> None:
    assert report["resubscribed"] == "CANCELED"


def test_it_answers_what_the_agent_asks(report: Report) -> None:
    assert report["conversed"] == ["INPUT_REQUIRED", "INPUT_REQUIRED", "COMPLETED"]


def test_it_knows_a_task_that_is_not_found_from_other_errors(report: Report) -> None:
    assert "TaskNotFound" in report["refused"]


@pytest.mark.parametrize(
    "report", list(product(["0.3"], BINDINGS)), ids="-".join, indirect=True, scope="module"
)
def test_it_knows_each_error_of_0_3_by_its_code_and_gets_the_message(report: Report) -> None:
    seen = report["errors"]
    over_rest = report["binding"] == "HTTP+JSON"
    for what, (name, code, words) in ERRORS.items():
        if what in OF_JSON_RPC and over_rest:
            continue
        raised, by_code, message = seen.pop(what)
        if what == CUT_OFF and not over_rest:
            # The answer has no id, as JSON-RPC demands, and this SDK reads none without its own.
            assert "ID mismatch" in message
        elif over_rest and name == "JSONRPCTransport":
            # For errors of JSON-RPC the SDK has no class here.
            assert (raised, by_code) == ("", None), what
            assert words in message and f"(Code: {code})" in message, what
        else:
            # Over HTTP+JSON the SDK keeps no code besides the class that it has made of it.
            assert (raised, by_code) == (name, None if over_rest else code), what
            assert message.startswith(words), what
    assert seen == {}
