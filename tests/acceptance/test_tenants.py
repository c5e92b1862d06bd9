"""Tenants as the page on them shows it: the official client reads a card, and gets there."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.client.errors import AgentCardResolutionError
from a2a.types import a2a_pb2 as pb
from a2a.utils import errors

from tests.clients.sdk import SECONDS, SdkClient, new_message, state
from tests.sites import Site, named_blocks

MEMBERS = """
from django.contrib.auth.models import Group, User
from a2a_app.models import ApiKey
user = User.objects.create(username="ann")
for number, name in enumerate(("acme", "globex", "initech"), 1):
    group = Group.objects.create(pk=number, name=name)
    if name != "initech":
        user.groups.add(group)
row = ApiKey(user=user, name="a program")
print("key:" + row.issue())
row.save()
"""


class Member:
    """A client of the site with the key of somebody who is in two of three groups."""

    def __init__(self, site: Site, key: str) -> None:
        self.url = site.server.url
        self.http = httpx.AsyncClient(
            timeout=SECONDS, verify=False, headers={"Authorization": f"Bearer {key}"}
        )

    async def of(self, tenant: str, binding: str) -> SdkClient:
        """Make a client of a tenant's card."""
        card = await A2ACardResolver(self.http, f"{self.url}/a2a/whose/{tenant}").get_agent_card()
        config = ClientConfig(httpx_client=self.http, supported_protocol_bindings=[binding])
        return SdkClient(ClientFactory(config).create(card), self.http, card)


@pytest.fixture(scope="module")
def site_and_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, str]]:
    start, page = named_blocks("docs/quick-start.md"), named_blocks("docs/tenants.md")
    # The page's agent is in place of the first one; its settings are added to the first ones.
    page["mysite/settings.py"] = start["mysite/settings.py"] + page["mysite/settings.py"]
    site = Site(tmp_path_factory.mktemp("site"), {**start, **page})
    with site.served():
        printed = site.run("manage.py", "shell", "-c", MEMBERS)
        yield site, printed.partition("key:")[2].strip()


@pytest.fixture
async def member(site_and_key: tuple[Site, str]) -> AsyncIterator[Member]:
    made = Member(*site_and_key)
    async with made.http:
        yield made


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
async def test_a_client_that_reads_a_tenants_card_reaches_the_tenant_with_all_it_does(
    member: Member, binding: str
) -> None:
    acme, globex = await member.of("acme", binding), await member.of("globex", binding)
    first, *_, last = await acme.stream(new_message("Whose are you?"))
    assert state(last) == "COMPLETED"
    task = await acme.get(first.task.id)
    assert task.artifacts[0].parts[0].text == "group-1"
    listed = await acme.list(context_id=task.context_id)
    assert [each.id for each in listed.tasks] == [task.id]
    webhook = pb.TaskPushNotificationConfig(task_id=task.id, url="https://192.0.43.10/hook")
    made = await acme.sdk.create_task_push_notification_config(webhook)
    assert made.tenant == "acme"
    with pytest.raises(errors.TaskNotCancelableError):
        await acme.cancel(task.id)
    with pytest.raises(errors.TaskNotFoundError):
        await globex.get(task.id)
    with pytest.raises(errors.TaskNotFoundError):
        await anext(globex.subscribe(task.id))
    assert not (await globex.list(context_id=task.context_id)).tasks


async def test_a_tenant_of_others_has_no_card_and_cannot_be_asked(member: Member) -> None:
    with pytest.raises(AgentCardResolutionError):
        await member.of("initech", "JSONRPC")
    acme = await member.of("acme", "JSONRPC")
    with pytest.raises(errors.InvalidParamsError):
        await acme.sdk.list_tasks(pb.ListTasksRequest(tenant="initech"))
