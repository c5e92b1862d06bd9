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
    seen: Report = json.loads(done.stdout)
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
