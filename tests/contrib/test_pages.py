"""The page on frameworks shows agents that answer."""

from itertools import chain

from a2a_app.agents import registry
from a2a_app.protocol import TaskState
from tests.clients.operations import OperationsClient
from tests.sites import named_blocks
from tests.tasks import new_message


async def test_the_agents_of_the_page_on_frameworks_answer(runtime: None) -> None:
    # With the model that Pydantic AI has for tests. The triage would ask OpenAI.
    files = named_blocks("docs/frameworks.md")
    shown = "\n".join(chain(*files.values())).replace('"openai:gpt-5.2"', '"test"')
    with registry.registered():
        exec(shown, {"__name__": "pages"})
        assert registry.get("triage").description == "Finds out who can help."
        for slug in ("forecaster", "known"):
            told = await OperationsClient(registry.get(slug)).send("Oslo?")
            assert told.status.state is TaskState.COMPLETED
        orders = OperationsClient(registry.get("orders"))
        asked = await orders.send("a shirt")
        assert asked.status.message is not None and asked.status.message.text == "Which size?"
        done = await orders.send(new_message("L", context_id=asked.context_id, task_id=asked.id))
    assert done.artifacts[0].parts[0].data == {"thing": "a shirt", "size": "L"}
