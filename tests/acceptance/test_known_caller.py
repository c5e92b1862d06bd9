"""The official client with an API key: it learns from the card how to send it."""

import pytest
from a2a.client import A2ACardResolver, ClientCallContext, ClientConfig, ClientFactory
from a2a.client.auth import AuthInterceptor, CredentialService
from a2a.types import a2a_pb2 as pb

from tests.clients.sdk import SdkClient, new_message, plain_http
from tests.conftest import Serve
from tests.servers import Process, managed

ISSUE = """
from django.contrib.auth.models import User
from a2a_app.models import ApiKey
row = ApiKey(user=User.objects.create(username="ann"), name="test")
print(row.issue())
row.save()
"""


class Keys(CredentialService):
    """Has one key, whatever the scheme is called."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.asked: list[str] = []

    async def get_credentials(
        self, security_scheme_name: str, context: ClientCallContext | None
    ) -> str:
        self.asked.append(security_scheme_name)
        return self.key


def issued_on(server: Process) -> str:
    """Issue an API key where the server has its database."""
    return managed(server.env, "shell", "-c", ISSUE).split()[-1]


async def test_the_official_client_shows_an_api_key_as_the_card_says(serve: Serve) -> None:
    server = serve(ANONYMOUS="refuse", AUTHENTICATION=["a2a_app.authentication.ApiKeyAuth"])
    keys = Keys(issued_on(server))
    async with plain_http() as http:
        card = await A2ACardResolver(http, f"{server.url}/a2a/echo").get_agent_card()
        factory = ClientFactory(ClientConfig(httpx_client=http))
        nobody = SdkClient(factory.create(card), http, card)
        with pytest.raises(Exception, match="401"):
            await nobody.stream(new_message("hello"))
        ann = SdkClient(factory.create(card, [AuthInterceptor(keys)]), http, card)
        items = await ann.stream(new_message("hello"))
        assert items[-1].status_update.status.state == pb.TASK_STATE_COMPLETED
        listed = await ann.sdk.list_tasks(pb.ListTasksRequest())
        assert listed.total_size == 1
    assert set(keys.asked) == {"ApiKeyAuth"}
