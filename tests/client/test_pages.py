"""What the page on calling other agents shows is there, and runs."""

import re
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import RequestFactory

from a2a_app.agents import registry
from a2a_app.client import RemoteAgent
from a2a_app.conf import RemoteAgentSettings, Settings
from tests.servers import ROOT
from tests.sites import BLOCK, named_blocks

PAGE = "docs/remote-agents.md"


async def test_the_agents_and_the_view_of_the_page_answer(runtime: None) -> None:
    alice = await User.objects.acreate(username="alice")
    blocks = named_blocks(PAGE)
    names: dict[str, Any] = {"__name__": "pages"}
    with registry.registered():
        exec("\n".join(blocks["agents.py"] + blocks["views.py"]), names)
        async with RemoteAgent("planner", user=alice) as planner:
            answer = await planner.send("A day out")
        assert answer.text == "Rain in Lisbon. Take an umbrella."
        request = RequestFactory().get("/")
        request.user = alice
        response = await sync_to_async(names["plan"])(request)
    assert response.content == b'{"plan": "Rain in Lisbon. Take an umbrella."}'


def test_the_page_gives_every_key_of_an_entry_with_its_default() -> None:
    text = (ROOT / PAGE).read_text()
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \|([^|]*)\|", text, re.MULTILINE))
    defaults = {
        name.upper(): field.get_default(call_default_factory=True)
        for name, field in RemoteAgentSettings.model_fields.items()
        if not field.is_required()
    }
    shown = {key: eval(value.strip("` "), {}) for key, value in rows.items() if value.strip()}
    assert shown == defaults
    assert rows.keys() - defaults.keys() == {"URL"}


def test_the_settings_of_the_page_are_settings() -> None:
    [block] = [each for each in BLOCK.findall((ROOT / PAGE).read_text()) if "A2A" in each]
    names: dict[str, Any] = {}
    exec(block, names)
    assert Settings.model_validate(names["A2A"]).remote_agents["forecast"].auth_credentials
