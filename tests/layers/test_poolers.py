"""The layer and poolers: it works in session mode, and refuses those that share its session."""

import pytest

from a2a_app.layers.session import SharedSessionError
from tests.layers.conftest import layers_on
from tests.pooler import Pooler

SECONDS = 30
HELLO = {"type": "test.hello"}

# To start PostgreSQL, of which a test here may be the first user, does not count.
pytestmark = pytest.mark.timeout(SECONDS, func_only=True)


async def test_through_a_pooler_in_session_mode_a_layer_works_and_changes_no_setting(
    database_url: str,
) -> None:
    with Pooler(database_url, "session", reset="UNLISTEN *") as pooler:
        async with layers_on(pooler.url) as make:
            layer, other = make(), make()
            await layer.check()
            channel = await layer.new_channel()
            await layer.group_add("group", channel)
            for side in (layer, other):
                await side.group_send("group", HELLO)
                assert await layer.receive(channel) == HELLO
        assert set(pooler.changes()) == {""}


# Of two sessions that are used in turn, the layer's second connection has the other one.
@pytest.mark.parametrize("in_turn", [0, 2])
async def test_a_layer_refuses_a_pooler_that_shares_its_session(
    database_url: str, caplog: pytest.LogCaptureFixture, in_turn: int
) -> None:
    with Pooler(database_url, "transaction", in_turn=in_turn) as pooler:
        async with layers_on(pooler.url) as make:
            layer = make()
            channel = await layer.new_channel()
            for call in (layer.check(), layer.group_add("group", channel)):
                with pytest.raises(SharedSessionError, match="shares sessions between"):
                    await call
        assert set(pooler.changes()) == {""}
    [line] = caplog.records
    assert line.levelname == "ERROR"
    assert "such as PgBouncer in transaction mode" in line.getMessage()
