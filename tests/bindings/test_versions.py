"""Versions over JSON-RPC (section 3.6): which are served, and how a client names one."""

import pytest

from a2a_app.operations import OPERATIONS
from tests.bindings.conftest import Rpc, error_of
from tests.rpc import envelope, message

VERSION = (-32009, "VERSION_NOT_SUPPORTED")
NOT_FOUND = (-32001, "TASK_NOT_FOUND")
UNKNOWN_METHOD = (-32601, "METHOD_NOT_FOUND")

NOBODY = "00000000-0000-7000-8000-000000000000"
OLD_METHODS = [
    "message/send", "message/stream", "tasks/get", "tasks/cancel", "tasks/resubscribe",
    "tasks/pushNotificationConfig/set", "agent/getAuthenticatedExtendedCard",
]  # fmt: skip  # names only


@pytest.mark.parametrize("version", ["0.3", "1", "1.1", "2.0", "1.0.0.0", "latest", "1.0,0.3"])
async def test_a_version_that_is_not_served_is_refused_whatever_the_method(
    rpc: Rpc, version: str
) -> None:
    for method in (*OPERATIONS, *OLD_METHODS, "NoSuchMethod"):
        request = envelope(method, {"id": NOBODY, "message": message()})
        by_header = await rpc.answer(request, A2A_Version=version)
        by_query = await rpc.answer(request, path=f"/a2a/load/?A2A-Version={version}")
        assert error_of(by_header) == error_of(by_query) == VERSION, method
        detail = by_header["error"]["data"][0]
        assert detail["metadata"] == {"requested": version, "supported": "1.0"}


@pytest.mark.parametrize("version", ["1.0", "1.0.3", "1.0.0", " 1.0 ", ""])
@pytest.mark.parametrize("method", ["GetTask", "CancelTask", "SubscribeToTask"])
async def test_our_version_may_be_named_with_a_patch_by_query_or_not_at_all(
    rpc: Rpc, method: str, version: str
) -> None:
    request = envelope(method, {"id": NOBODY})
    by_header = await rpc.answer(request, A2A_Version=version)
    by_query = await rpc.answer(request, path=f"/a2a/load/?A2A-Version={version.strip()}")
    assert error_of(by_header) == error_of(by_query) == NOT_FOUND


@pytest.mark.parametrize("method", OLD_METHODS)
async def test_a_method_of_0_3_without_a_version_is_told_which_one_is_served(
    rpc: Rpc, method: str
) -> None:
    assert error_of(await rpc.answer(envelope(method, {}))) == VERSION


async def test_a_method_of_0_3_is_unknown_in_1_0(rpc: Rpc) -> None:
    answer = await rpc.answer(envelope("message/send", {}), A2A_Version="1.0")
    assert error_of(answer) == UNKNOWN_METHOD
