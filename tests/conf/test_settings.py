"""The A2A dict: its defaults, and how a bad entry is named."""

import traceback
from math import inf
from typing import Any

import pytest
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.views.debug import SafeExceptionReporterFilter
from joserfc.jwk import ECKey
from pytest_django import Settings

from a2a_app import conf
from a2a_app.conf import RemoteAgentSettings

KEY = ECKey.generate_key("P-256").as_pem(private=False).decode()


def test_settings_have_defaults_and_follow_the_projects(settings: Settings) -> None:
    settings.A2A = {}
    assert conf.current() == conf.Settings()
    settings.A2A = {"LEASE_SECONDS": 3}
    assert conf.current().lease_seconds == 3


def test_a_project_without_the_dict_has_the_defaults(settings: Settings) -> None:
    settings.A2A = {}  # of a deletion nobody is told who has read them before
    del settings.A2A
    assert conf.current() == conf.Settings()


def test_callers_without_credentials_are_refused_unless_a_setting_says_otherwise() -> None:
    assert conf.Settings().anonymous == "refuse"


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"SPEED": 3}, "A2A['SPEED']: unknown; there are DEFAULT_AGENT"),
        ({"LEASE_SECOND": 3}, "A2A['LEASE_SECOND']: unknown. Did you mean 'LEASE_SECONDS'?"),
        ({"anonymous": "share"}, "A2A['anonymous']: unknown. Did you mean 'ANONYMOUS'?"),
        ({"RETENTION": [{"days": 1, "agnet": "echo"}]}, "unknown. Did you mean 'agent'?"),
        ({"LEASE_SECONDS": -1}, "A2A['LEASE_SECONDS']"),
        ({"ANONYMOUS": "maybe"}, "A2A['ANONYMOUS']"),
        ({"PROTOCOL_VERSIONS": ["2.0"]}, "A2A['PROTOCOL_VERSIONS.0']"),
        ({"PROTOCOL_VERSIONS": ["1.1", "1.0"]}, "1.1 is a draft: name it in DRAFTS too"),
        ({"PROTOCOL_VERSIONS": []}, "A2A['PROTOCOL_VERSIONS']"),
        ({"PUSH_PATIENCE_SECONDS": inf}, "A2A['PUSH_PATIENCE_SECONDS']: Input should be a finite"),
        ({"PUBLIC_URL": "agents.example.com"}, "A2A['PUBLIC_URL']"),
        ({"PUBLIC_URL": "https://"}, "A2A['PUBLIC_URL']"),
        (["ANONYMOUS"], "must be a dict"),
    ],
)
def test_a_bad_entry_is_named(settings: Settings, given: Any, complaint: str) -> None:
    settings.A2A = given
    with pytest.raises(ImproperlyConfigured) as caught:
        conf.current()
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        {"METRICS_TOKEN": "open sesame"},
        {"SIGNING_KEY": ["open sesame"]},
        {"REMOTE_AGENTS": {"peer": {"URL": "https://peer.test", "CREDENTAILS": "open sesame"}}},
    ],
)
def test_no_secret_is_in_the_traceback_of_a_bad_entry(settings: Settings, given: Any) -> None:
    settings.A2A = given
    with pytest.raises(ImproperlyConfigured) as caught:
        conf.current()
    assert "sesame" not in "".join(traceback.format_exception(caught.value))


def test_django_hides_all_secrets_on_its_page_and_in_mails_about_an_error(
    settings: Settings,
) -> None:
    entry = RemoteAgentSettings.model_fields.items()
    secret = {name.upper(): "open sesame" for name, field in entry if not field.repr}
    settings.A2A = {
        "SIGNING_KEY": "open sesame",
        "METRICS_TOKEN": "open sesame",
        "REMOTE_AGENTS": {"peer": {**secret, "HEADERS": {"Authorization": "open sesame"}}},
    }
    assert len(secret) == 2
    assert "sesame" not in str(SafeExceptionReporterFilter().get_safe_settings()["A2A"])


@pytest.mark.parametrize("path", ["shop.nothing", "math.pi"])
@pytest.mark.parametrize(
    "setting", ["AUTHENTICATION", "OWNER_RESOLVER", "HAND_ON", "TENANT_RESOLVER"]
)
def test_a_path_that_leads_to_nothing_of_use_is_found_with_its_setting(
    settings: Settings, setting: str, path: str
) -> None:
    value = [path] if setting == "AUTHENTICATION" else path
    settings.A2A = {**settings.A2A, setting: value}
    found = [each for each in checks.run_checks(tags=["a2a"]) if each.level >= checks.ERROR]
    assert [each.msg.startswith(f"A2A['{setting}']: ") for each in found] == [True]


@pytest.mark.parametrize("host", ["https://named.test", "named.test:port", "::1", "a/b", ""])
def test_a_host_that_is_none_is_named(settings: Settings, host: str) -> None:
    settings.A2A = {"REMOTE_AGENTS": {"peer": {"URL": "https://peer.test", "HOSTS": [host]}}}
    with pytest.raises(ImproperlyConfigured, match=r"REMOTE_AGENTS\.peer\.HOSTS\.0"):
        conf.current()


def test_the_limit_is_what_fits_into_a_message_of_the_channel_layer() -> None:
    assert conf.Settings().raw_limit * 4 / 3 < 128 * 1024


@pytest.mark.parametrize(
    ("budget", "text"),
    [
        ({"tokens": 1, "agent": "laod"}, "A2A['BUDGETS'] names the agent 'laod', which there is"),
        ({"tokns": 1}, "A2A['BUDGETS.0.tokns']: unknown. Did you mean 'tokens'?"),
        ({"tokens": 1, "cost": 1}, "A2A['BUDGETS.0']: Value error, has one of tokens and cost"),
        ({"cost": "shop.plans.nothing"}, "No module named 'shop'"),
        ({"cost": "asyncio.sleep"}, "A2A['BUDGETS']: asyncio.sleep is no function without async."),
    ],
)
def test_a_budget_that_is_misspelt_is_found_by_a_check(
    settings: Settings, budget: dict[str, Any], text: str
) -> None:
    budget = {"per": "caller", "period": "day", **budget}
    settings.A2A = {**settings.A2A, "BUDGETS": [budget]}
    findings = checks.run_checks(tags=["a2a"])
    texts = [each.msg for each in findings if each.id in ("a2a.E001", "a2a.E030")]
    assert any(text in each for each in texts), texts


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (
            {"AUTH_CREDENTIALS_FROM": "shop.token"},
            "_FROM']: No module named 'shop'",
        ),
        (
            {"AUTH_CREDENTIALS_FROM": "math.pi"},
            "_FROM']: math.pi cannot be called.",
        ),
        ({"KEY": "no PEM"}, ".KEY'] is no key in PEM, RSA or on the curve P-256"),
        ({"AUTH_CREDENTIALS_FROM": "builtins.str", "KEY": KEY}, None),
    ],
)
def test_an_agent_elsewhere_that_names_nothing_of_use_is_found_by_a_check(
    settings: Settings, entry: dict[str, str], text: str | None
) -> None:
    agents = {"peer": {"URL": "https://peer.test", **entry}}
    settings.A2A = {**settings.A2A, "REMOTE_AGENTS": agents}
    findings = [each.msg for each in checks.run_checks(tags=["a2a"]) if each.id == "a2a.E031"]
    assert len(findings) == (text is not None)
    assert all(each.startswith("A2A['REMOTE_AGENTS.peer.") for each in findings)
    assert all(str(text) in each for each in findings)
