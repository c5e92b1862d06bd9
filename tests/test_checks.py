"""The system checks: what is wrong with a project is found before a request finds it."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core import checks
from django.core.files.storage import storages
from django.http import HttpRequest
from django.utils import timezone
from joserfc.jwk import ECKey
from pytest_django import Settings

from a2a_app import protocol
from a2a_app.agents import AgentExtension, AgentSkill, Turn, registry
from a2a_app.agents.registry import make_agent
from a2a_app.authentication import CallerName
from a2a_app.models import ApiKey
from tests.bindings import authenticators, resolvers

pytestmark = pytest.mark.django_db

IN_MEMORY = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


@pytest.fixture(autouse=True)
def _sound_channel_layer(settings: Settings) -> None:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "tests.channel_layers.Silent"}}
    # That of the project tunes the garbage collector of the process that loads it.
    settings.ASGI_APPLICATION = "tests.projects.asgi.ours"


def skill(description: str, *schemes: str) -> AgentSkill:
    """Make a skill that requires security schemes."""
    needed = protocol.SecurityRequirement(schemes=dict.fromkeys(schemes, protocol.StringList()))
    return AgentSkill(
        id="one", name="One", description=description, tags=[], security_requirements=[needed]
    )


def found(*, deploy: bool = False) -> set[str | None]:
    """Return the ids of what our checks find, but not of the limits of the tests' own database."""
    ours = checks.run_checks(tags=["a2a"], include_deployment_checks=deploy, databases=["default"])
    return {finding.id for finding in ours} - {"a2a.W017"}


async def greets(turn: Turn) -> str:
    """Greet."""
    return "hello"


@pytest.mark.parametrize(
    ("permission", "texts"),
    [
        ({"read": None, "*": "auth.view_group"}, []),
        ({"GetAgentCard": None, "send": None, "read": None, "cancel": None, "push": None}, []),
        ({"SendMesage": None, "*": None}, ["names no operation by SendMesage."]),
        (
            {"SendMessage": None, "read": None, "push": None},
            ["lets nobody use SendStreamingMessage, CancelTask."],
        ),
    ],
)
def test_a_mapping_of_permissions_that_forgets_something_is_found_by_a_check(
    permission: dict[str, Any], texts: list[str]
) -> None:
    with registry.registered(make_agent(greets, slug="mapped", permission=permission)):
        findings = [each for each in checks.run_checks(tags=["a2a"]) if each.id == "a2a.E015"]
    assert [each.msg for each in findings] == [
        f"The permission of the agent 'mapped' {text}" for text in texts
    ]


def test_keys_in_use_that_expire_soon_are_found_by_a_check() -> None:
    now = timezone.now()
    user = User.objects.create(username="ann")
    for days, used, revoked in ((3, now, None), (3, None, None), (3, now, now), (30, now, None)):
        row = ApiKey(
            user=user, expires_at=now + timedelta(days=days), last_used_at=used, revoked_at=revoked
        )
        row.issue()
        row.save()
    first = ApiKey.objects.earliest("pk")
    findings = checks.run_checks(tags=["a2a"], databases=["default"])
    [text] = [each.msg for each in findings if each.id == "a2a.W026"]
    assert text == f"API keys that are in use expire within 14 days: {first.prefix}."


def test_passwords_that_each_process_counts_by_itself_are_found_by_a_check(
    settings: Settings,
) -> None:
    settings.A2A = {**settings.A2A, "AUTHENTICATION": ["a2a_app.authentication.BasicAuth"]}
    assert "a2a.W025" in found(deploy=True)
    shared = {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cache"}
    settings.CACHES = {"default": shared}
    assert "a2a.W025" not in found(deploy=True)


def test_a_bad_entry_is_found_by_a_check(settings: Settings) -> None:
    settings.A2A = {"LEASE_SECOND": 3}
    assert found() == {"a2a.E001"}


@pytest.mark.parametrize("runner", ["no-such", "a.b.C", "django.http.HttpResponse"])
def test_a_runner_that_is_none_is_found_by_a_check(settings: Settings, runner: str) -> None:
    settings.A2A = {**settings.A2A, "RUNNER": runner}
    assert found() == {"a2a.E001"}


@pytest.mark.parametrize(
    "path",
    [
        "no.such.thing",
        "a2a_app.authentication.certificates.CertificateAuth",
        "a2a_app.authentication.tokens.TokenAuth",
    ],
)
def test_an_authenticator_that_cannot_be_used_is_found_by_a_check(
    settings: Settings, path: str
) -> None:
    settings.A2A = {**settings.A2A, "AUTHENTICATION": [path]}
    assert found() == {"a2a.E001"}


@pytest.mark.parametrize("name", ["no.such.resolver", f"{resolvers.__name__}.NOTHING", "nonsense"])
def test_a_resolver_of_tenants_that_cannot_be_called_is_found_by_a_check(
    settings: Settings, name: str
) -> None:
    settings.A2A = {**settings.A2A, "TENANT_RESOLVER": name}
    assert found() == {"a2a.E007"}
    settings.A2A = {**settings.A2A, "TENANT_RESOLVER": f"{resolvers.__name__}.by_name"}
    assert found() == set()


def test_a_key_that_cannot_sign_the_cards_is_found_by_a_check(settings: Settings) -> None:
    pem = ECKey.generate_key("P-256").as_pem(private=True).decode()
    given = {**settings.A2A, "PUBLIC_URL": "https://example.com"}
    settings.A2A = {**given, "SIGNING_KEY": "nonsense"}
    assert found() == {"a2a.E003"}
    settings.A2A = {**given, "SIGNING_KEY": pem, "PUBLIC_URL": ""}
    assert found() == {"a2a.E003"}
    settings.A2A = {**given, "SIGNING_KEY": pem}
    assert found() == set()
    large = AgentExtension(uri="x", params={"large": 2**60})
    with registry.registered(make_agent(nothing, extensions=[large])):
        assert found() == {"a2a.E003"}


def test_a_key_without_the_libraries_that_sign_is_found_by_a_check(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("a2a_app.agents.signing", raising=False)
    monkeypatch.setitem(sys.modules, "a2a_app.agents.signing", None)
    settings.A2A = {**settings.A2A, "SIGNING_KEY": "any"}
    [finding] = checks.run_checks(tags=["a2a"])
    assert (finding.id, finding.hint) == (
        "a2a.E003",
        "pip install 'django-agent2agent[signing]'",
    )


async def nothing(turn: Turn) -> None: ...


@pytest.mark.parametrize(
    ("declared", "is_faulty"),
    [
        ({"documentation_url": "https://me:secret@example.com/docs"}, True),
        ({"description": "Ask with Bearer eyJhbGciOiJFUzI1NiIsInR5cCI6"}, True),
        ({"description": "-----BEGIN EC PRIVATE KEY-----"}, True),
        ({"description": f"a2a_{'0' * 16}_{'x' * 43}"}, True),
        ({"extended_skills": [skill("sk-" + "x1" * 15)]}, True),
        ({"skills": [skill("Needs more.", "gateway")]}, True),
        ({"skills": [skill("Needs no more.")]}, False),
        ({"description": "A bearer of good news. See https://example.com:8000/a@b"}, False),
        ({"description": "Needs a bearer token-as-it-is-issued for sk-learn-based-models"}, False),
    ],
)
def test_a_card_that_says_what_it_must_not_is_found_by_a_check(
    settings: Settings, declared: dict[str, Any], is_faulty: bool
) -> None:
    settings.A2A = {**settings.A2A, "AUTHENTICATION": [f"{authenticators.__name__}.Bearer"]}
    with registry.registered(make_agent(nothing, **declared)):
        assert found() == ({"a2a.E004"} if is_faulty else set())


def test_an_extended_card_that_nobody_can_get_is_found_by_a_check(settings: Settings) -> None:
    with registry.registered(make_agent(nothing, extended_skills=[skill("More.")])):
        assert found() == {"a2a.W011"}
        settings.A2A = {**settings.A2A, "AUTHENTICATION": [f"{authenticators.__name__}.Bearer"]}
        assert found() == set()


def test_a_default_agent_that_is_missing_is_found_by_a_check(settings: Settings) -> None:
    settings.A2A = {**settings.A2A, "DEFAULT_AGENT": "nobody"}
    assert "a2a.E002" in found()
    settings.A2A = {**settings.A2A, "DEFAULT_AGENT": ""}
    assert "a2a.W001" in found()
    settings.A2A = {**settings.A2A, "DEFAULT_AGENT": "echo"}
    assert found() == set()


def test_a_channel_layer_that_is_missing_or_in_memory_is_found_by_a_check(
    settings: Settings,
) -> None:
    settings.CHANNEL_LAYERS = {}
    assert found() == {"a2a.W002"}
    settings.CHANNEL_LAYERS = IN_MEMORY
    assert found() == {"a2a.W003"}
    settings.DEBUG = True
    assert found() == set()


@pytest.mark.parametrize(
    ("layer", "complaint"),
    [
        ({"BACKEND": "no.such.Layer"}, "no.such.Layer"),
        ({"CONFIG": {}}, "BACKEND"),
        ({"BACKEND": IN_MEMORY["default"]["BACKEND"], "CONFIG": {"capcity": 1}}, "capcity"),
        (
            {"BACKEND": "a2a_app.layers.PostgreSQLChannelLayer", "CONFIG": {"database": "nowhere"}},
            "'nowhere'",
        ),
    ],
)
def test_a_channel_layer_that_cannot_be_made_is_found_by_a_check(
    settings: Settings, layer: dict[str, Any], complaint: str
) -> None:
    settings.CHANNEL_LAYERS = {"default": layer}
    [finding] = checks.run_checks(tags=["a2a"])
    assert finding.id == "a2a.E006"
    assert complaint in finding.msg


def test_an_unsafe_setting_in_production_is_found_by_the_deployment_checks(
    settings: Settings,
) -> None:
    settings.A2A = {**settings.A2A, "ANONYMOUS": "share", "PUBLIC_URL": ""}
    assert found(deploy=True) == {"a2a.W006", "a2a.W007", "a2a.W014"}
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert found(deploy=True) == {"a2a.W006", "a2a.W007"}
    settings.SECURE_PROXY_SSL_HEADER = None
    settings.A2A = {
        **settings.A2A,
        "ANONYMOUS": "refuse",
        "AUTHENTICATION": [f"{authenticators.__name__}.Bearer"],
        "PUBLIC_URL": "https://example.com",
    }
    assert found(deploy=True) == set()


def test_files_in_a_folder_of_this_machine_are_found_by_the_deployment_checks(
    settings: Settings,
) -> None:
    settings.A2A = {**settings.A2A, "STORAGE": ""}
    assert "a2a.W013" in found(deploy=True)
    settings.A2A = {**settings.A2A, "RAW_LIMIT": 0}
    assert "a2a.W013" not in found(deploy=True)


def test_files_that_everybody_may_read_are_found_by_a_check(settings: Settings) -> None:
    location = storages["files"].path("")
    for media_root, ids in ((Path(location).parent, {"a2a.W012"}), (f"{location}-not", set())):
        settings.MEDIA_ROOT = media_root
        assert found() == ids


def test_a_storage_that_is_not_there_is_found_by_a_check(settings: Settings) -> None:
    settings.A2A = {**settings.A2A, "STORAGE": "nowhere"}
    assert found() == {"a2a.E001"}


def test_cards_that_do_not_say_how_to_authenticate_are_found_by_a_check(
    settings: Settings,
) -> None:
    silent = {"ANONYMOUS": "refuse", "AUTHENTICATION": [f"{authenticators.__name__}.Silent"]}
    settings.A2A = {**settings.A2A, **silent}
    assert found() == {"a2a.W010"}
    settings.A2A = {**settings.A2A, "ANONYMOUS": "share"}
    assert found() == set()


def test_a_bypass_of_the_session_that_an_authenticator_asks_for_is_found_by_a_check(
    settings: Settings,
) -> None:
    settings.A2A = {**settings.A2A, "AUTHENTICATION": ["ninja.security.django_auth"]}
    assert found() == {"a2a.E008"}
    bypass, *others = settings.MIDDLEWARE
    settings.MIDDLEWARE = [*others, bypass]
    assert found() == set()
    settings.MIDDLEWARE = others
    assert found() == set()


def test_a_scheme_that_is_none_is_found_by_a_check(settings: Settings) -> None:
    settings.A2A = {**settings.A2A, "AUTHENTICATION": [f"{authenticators.__name__}.Nonsense"]}
    assert found() == {"a2a.E001"}


class Tokens:
    """Says that it returns the token, as the documentation of django-ninja shows it."""

    def authenticate(self, request: HttpRequest, token: str) -> str | None:
        return token or None

    def __call__(self, request: HttpRequest) -> str | None:
        return self.authenticate(request, "")


def by_claims(request: HttpRequest) -> dict[str, str] | None:
    return None


def by_user_or_name(request: HttpRequest) -> User | CallerName | AnonymousUser | None:
    return None


def by_anything(request: HttpRequest) -> Any:
    return None


@pytest.mark.parametrize(
    ("name", "kind"),
    [("Tokens", "str"), ("by_claims", "dict"), ("by_user_or_name", ""), ("by_anything", "")],
)
def test_an_authenticator_that_says_it_returns_what_cannot_own_tasks_is_found_by_a_check(
    settings: Settings, name: str, kind: str
) -> None:
    settings.A2A = {**settings.A2A, "AUTHENTICATION": [f"{__name__}.{name}"]}
    findings = [each for each in checks.run_checks(tags=["a2a"]) if each.id == "a2a.E009"]
    assert [str(each.msg).split(" cannot")[0] for each in findings] == (
        [f"{name}: {kind}"] if kind else []
    )
    settings.A2A = {**settings.A2A, "OWNER_RESOLVER": f"{__name__}.by_anything"}
    assert "a2a.E009" not in found()


@pytest.mark.parametrize("path", ["nowhere.at_all", f"{__name__}.TOKENS"])
def test_a_resolver_of_owners_that_cannot_be_called_is_found_by_a_check(
    settings: Settings, path: str
) -> None:
    settings.A2A = {**settings.A2A, "OWNER_RESOLVER": path}
    assert found() == {"a2a.E001"}


TOKENS = "not callable"
