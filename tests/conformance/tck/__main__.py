"""Run the official conformance suite against a server that this starts, and ends.

    python -m tests.conformance.tck <path of a clone of a2a-tck> [arguments for pytest]

The suite is that of the branch `1.0-dev`, over JSON-RPC, HTTP+JSON and gRPC. It is not on PyPI.
What it needs is installed into an environment of its own, the first time. Its reports are in the
folder `reports` of the clone. A test that fails for a reason that is known, which is the suite's,
is listed and is no failure. docs/clients.md says more of each.
"""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree  # reads the report that the suite just wrote

from tests.acceptance.installed import python_with_only
from tests.servers import free_port, fresh_database, grpc_server, web_server

BRANCH = "1.0-dev"
HOW_TO_GET_IT = f"""\
The suite is not on PyPI. Clone it, and say where it is:
    git clone --branch {BRANCH} https://github.com/a2aproject/a2a-tck
    TCK=a2a-tck make tck"""
SETTINGS: dict[str, Any] = {
    "DEFAULT_AGENT": "tck",
    # The suite forbids the members of 0.3 in a card of 1.0.
    "PROTOCOL_VERSIONS": ["1.0"],
    # It receives webhooks on this machine, at any port, and names hosts that may have no address.
    "PUSH_HOSTS": ["127.0.0.1", "localhost", "example.com"],
    "PUSH_ALLOW_HTTP": True,
    "PUSH_ALLOW_UNRESOLVED": True,
}
KNOWN = {
    "test_response_content_type": "application/a2a+json SHOULD be used (section 11.1)",
    "test_error_content_type": "the same",
    "test_error_uses_aip193_format": "the same",
    "test_must_requirement[CORE-SEND-003": "it expects an error, and takes it for a failure",
    "test_content_type_not_supported_error": "what it sends is no JSON, and said to be plain text",
    "test_create_push_config": "example.com, which it names, has no address where this runs",
    "test_subscribe_rejects_terminal_task[jsonrpc]": "the only event has the error it wants",
    "test_version_not_supported_returns_unimplemented": "FAILED_PRECONDITION (section 5.4)",
}
"""Why tests fail, by the beginnings of their names: each for a reason of the suite's."""


def main(suite: Path, arguments: Iterable[str]) -> int:
    """Run the suite, and return 1 where it has failures that are not known."""
    python = python_with_only(str(suite))
    report = suite / "reports" / "junitreport.xml"
    report.unlink(missing_ok=True)
    with fresh_database("sqlite") as url:
        where = f"127.0.0.1:{free_port()}"
        web = web_server(
            "daphne",
            database_url=url,
            settings_module="tests.conformance.tck.settings",
            GRPC_URL=where,
            **SETTINGS,
        )
        grpc = grpc_server(web)
        try:
            web.start()
            grpc.start()
            command = [str(python), "run_tck.py", "--sut-host", web.url, "--", *arguments]
            subprocess.run(command, cwd=suite, check=False)
        finally:
            grpc.stop()
            web.stop()
    return _told(report)


def _told(report: Path) -> int:
    """Tell which failures are known, and which are not."""
    cases = ElementTree.parse(report).iter("testcase")  # see the import
    failed = [each.get("name", "") for each in cases if each.find("failure") is not None]
    unknown = []
    for name in sorted(failed):
        why = next((why for known, why in KNOWN.items() if name.startswith(known)), "")
        sys.stdout.write(f"{name}: {why or 'is not known'}\n")
        if not why:
            unknown.append(name)
    sys.stdout.write(f"{len(failed)} failed, {len(unknown)} of them for no reason that is known.\n")
    return 1 if unknown else 0


if __name__ == "__main__":
    if len(sys.argv) < 2 or not (Path(sys.argv[1]) / "run_tck.py").exists():
        sys.exit(HOW_TO_GET_IT)
    sys.exit(main(Path(sys.argv[1]).resolve(), sys.argv[2:]))
