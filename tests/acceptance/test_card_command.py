"""`manage.py a2a_card`: what it prints, and which cards it takes for genuine."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.core.management import CommandError, call_command
from joserfc.jwk import ECKey
from pytest_django import Settings

from tests.servers import Process, fresh_database, web_server

SECONDS = 60
KEY = ECKey.generate_key("P-256")
CARD = "/a2a/load/.well-known/agent-card.json"
# Protected headers: of a signature, with a member of a wrong type, and nested too deeply to read.
HEADER = urlsafe_b64encode(b'{"alg":"ES256","kid":"a"}').decode().rstrip("=")
CRITICAL = urlsafe_b64encode(b'{"alg":"ES256","kid":"a","crit":5}').decode().rstrip("=")
DEEP = urlsafe_b64encode(b"[" * 99_999).decode()


def a2a_card(*options: str) -> str:
    out = StringIO()
    call_command("a2a_card", *options, stdout=out)
    return out.getvalue()


@pytest.fixture(scope="module")
def server() -> Iterator[Process]:
    """Serve cards that are signed."""
    with fresh_database("sqlite") as database_url:
        made = web_server("daphne", database_url=database_url)
        settings = {"SIGNING_KEY": KEY.as_pem(private=True).decode(), "PUBLIC_URL": made.url}
        made.env["A2A_SETTINGS"] = json.dumps(settings)
        made.start()
        yield made
        made.kill()


@pytest.fixture
def card(server: Process) -> dict[str, Any]:
    given: dict[str, Any] = httpx.get(server.url + CARD, timeout=SECONDS).json()
    return given


def written(path: Path, content: object) -> str:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_the_card_of_a_server_is_verified_with_the_servers_own_keys(server: Process) -> None:
    told = a2a_card("--verify", server.url + CARD)
    assert told == f"Verified: 'Load', signed with the key {KEY.thumbprint()!r}.\n"


def test_a_card_in_a_file_is_verified_with_keys_that_are_given_only(
    server: Process, card: dict[str, Any], tmp_path: Path
) -> None:
    genuine = written(tmp_path / "card.json", card)
    forged = written(tmp_path / "forged.json", {**card, "name": "Other"})
    keys = httpx.get(f"{server.url}/.well-known/jwks.json", timeout=SECONDS).json()
    trusted = [
        ("--key", written(tmp_path / "key.pem", KEY.as_pem(private=False).decode())),
        ("--jwks", written(tmp_path / "keys.json", keys)),
    ]
    other = ECKey.generate_key("P-256").as_pem(private=False).decode()
    with pytest.raises(CommandError, match="not where the card is from"):
        a2a_card("--verify", genuine)
    for option in trusted:
        assert a2a_card("--verify", genuine, *option).startswith("Verified: 'Load'")
        with pytest.raises(CommandError, match="Not verified: bad_signature"):
            a2a_card("--verify", forged, *option)
    with pytest.raises(CommandError, match="Not verified: bad_signature"):
        a2a_card("--verify", genuine, "--key", written(tmp_path / "other.pem", other))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("no JSON", "cannot be read"),
        ({"name": "Nothing else"}, "is no card: Invalid parameters: description is required"),
        (None, "has no signature"),
        ([{"protected": "e30", "signature": "AA"}], "names no kid"),
        ([{"protected": "#", "signature": "AA"}], "not JSON in base64url"),
        ([{"protected": HEADER, "signature": "!"}], "A signature is malformed"),
        ([{"protected": CRITICAL, "signature": "AA"}], "A signature is malformed"),
        ([{"protected": DEEP, "signature": "AA"}], "not JSON in base64url"),
    ],
)
def test_a_card_that_cannot_be_verified_is_refused_with_the_reason(
    card: dict[str, Any], tmp_path: Path, content: Any, complaint: str
) -> None:
    if content is None or isinstance(content, list):
        content = {**card, "signatures": content}
    trusted = written(tmp_path / "key.pem", KEY.as_pem(private=False).decode())
    with pytest.raises(CommandError, match=complaint):
        a2a_card("--verify", written(tmp_path / "card.json", content), "--key", trusted)


def test_a_malformed_signature_does_not_hide_the_valid_one_after_it(
    card: dict[str, Any], tmp_path: Path
) -> None:
    malformed = [
        {"protected": HEADER, "signature": "!"},
        {"protected": DEEP, "signature": "AA"},
        {"protected": "\u00e9", "signature": "\u00e9"},
    ]
    content = {**card, "signatures": [*malformed, *card["signatures"]]}
    trusted = written(tmp_path / "key.pem", KEY.as_pem(private=False).decode())
    told = a2a_card("--verify", written(tmp_path / "card.json", content), "--key", trusted)
    assert told.startswith("Verified: 'Load'")


def test_a_card_whose_content_cannot_be_signed_is_refused_with_the_reason(
    card: dict[str, Any], tmp_path: Path
) -> None:
    large = {"uri": "https://example.com/x", "params": {"large": 2**60}}
    content = {**card, "capabilities": {"extensions": [large]}}
    with pytest.raises(CommandError, match="Not verified: The card cannot be signed"):
        a2a_card("--verify", written(tmp_path / "card.json", content))


@pytest.mark.parametrize("option", ["--key", "--jwks"])
def test_keys_that_are_none_are_refused(card: dict[str, Any], tmp_path: Path, option: str) -> None:
    genuine, nonsense = written(tmp_path / "card.json", card), written(tmp_path / "keys", "{}")
    with pytest.raises(CommandError, match="Not verified"):
        a2a_card("--verify", genuine, option, nonsense)


def test_a_server_that_does_not_answer_is_said_so() -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        a2a_card("--verify", "http://127.0.0.1:9/card.json")


def test_a_card_is_printed_as_clients_get_it(server: Process, settings: Settings) -> None:
    pem = KEY.as_pem(private=True).decode()
    settings.A2A = {**settings.A2A, "SIGNING_KEY": pem, "PUBLIC_URL": server.url}
    printed = json.loads(a2a_card("load"))
    named = {"A2A-Version": "1.0"}
    served = httpx.get(server.url + CARD, headers=named, timeout=SECONDS).json()
    # Each process signs its own card.
    theirs, ours = (card.pop("signatures")[0]["protected"] for card in (served, printed))
    assert (printed, ours) == (served, theirs)
    assert json.loads(a2a_card())["name"] == "Echo"


def test_where_the_agent_is_must_be_known(settings: Settings) -> None:
    with pytest.raises(CommandError, match="PUBLIC_URL"):
        a2a_card("load")
    card = json.loads(a2a_card("load", "--url", "https://agents.example.com/"))
    assert card["supportedInterfaces"][0]["url"] == "https://agents.example.com/a2a/load/"


def test_an_agent_that_is_not_there_is_said_so(settings: Settings) -> None:
    with pytest.raises(CommandError, match=r"no agent 'nobody'; there are: .*echo"):
        a2a_card("nobody", "--url", "https://agents.example.com")
    settings.A2A = {**settings.A2A, "DEFAULT_AGENT": ""}
    with pytest.raises(CommandError, match="no agent of the site"):
        a2a_card("--url", "https://agents.example.com")
