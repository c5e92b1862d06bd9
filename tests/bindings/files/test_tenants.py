"""Files of tenants: a link is valid within its tenant, for its own caller (R11)."""

import pytest

from a2a_app.agents import Tenant
from tests.bindings import resolvers
from tests.bindings.files.conftest import LARGE, FilesClient, file_of, found_links, said_with
from tests.bindings.resolvers import PLACES
from tests.conftest import ChangeSettings

ODD = "a&b=c?#%41 \N{SNOWMAN}"


@pytest.fixture(autouse=True)
def _tenants(a2a: ChangeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    a2a(TENANT_RESOLVER=f"{resolvers.__name__}.by_name")
    monkeypatch.setitem(PLACES, "odd", Tenant(ODD))


async def link_of(site: FilesClient, tenant: str, *parts: object) -> str:
    said = said_with(*(parts or [file_of()]))
    answer = await site.call("SendMessage", {"tenant": tenant, "message": said})
    [link] = found_links(answer["result"]["task"]["history"])
    return str(link)


@pytest.mark.parametrize("tenant", ["acme", "odd", ""])
async def test_a_link_leads_to_what_is_the_callers_within_a_tenant(
    ann: FilesClient, bob: FilesClient, tenant: str
) -> None:
    link = await link_of(ann, tenant)
    assert await ann.bytes_of(link) == LARGE
    assert (await bob.get(link)).status_code == 404


@pytest.mark.parametrize("other", ["globex", "", "acme/", "acme/user:1", "/", "\x00"])
async def test_a_link_with_another_tenant_leads_nowhere(ann: FilesClient, other: str) -> None:
    link = await link_of(ann, "acme")
    place, _, query = link.partition("?")
    assert query == "tenant=acme"
    assert (await ann.get(f"{place}?tenant={other}")).status_code == 404
    assert (await ann.get(place)).status_code == 404


async def test_a_link_may_be_sent_back_within_its_tenant_and_in_no_other(ann: FilesClient) -> None:
    link = await link_of(ann, "acme")
    again = await link_of(ann, "acme", {"url": link})
    assert again != link
    assert await ann.bytes_of(again) == LARGE
    # To another tenant it is a URL like any other, and leads to nothing.
    assert await link_of(ann, "globex", {"url": link}) == link
