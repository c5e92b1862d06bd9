"""Names and passwords of Django's users: whom they let in, for how long, and who guesses them."""

import threading
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import AsyncClient

from a2a_app.authentication import BasicAuth, basic
from a2a_app.authentication.guesses import Guesses, TooManyGuessesError
from a2a_app.protocol import UnavailableError
from tests.backends import CacheAway, Counting
from tests.clients.http_json import HttpJsonClient, refusal_of
from tests.clients.json_rpc import JsonRpcClient, error_of
from tests.conftest import ChangeSettings

PATH = "a2a_app.authentication.BasicAuth"
HERE, THERE = "192.0.2.1", "198.51.100.7"


class Strict(BasicAuth):
    """Lets nobody guess often."""

    guesses_per_user = 3
    guesses_per_address = 5


class Forgetful(Strict):
    """Checks the password for each request."""

    remember_seconds = 0


@pytest.fixture(autouse=True)
def counting(settings: Any) -> type[Counting]:
    """Count what is checked, and begin without guesses."""
    settings.AUTHENTICATION_BACKENDS = [f"{Counting.__module__}.Counting"]
    Counting.checked.clear()
    Counting.begun = threading.Semaphore(0)
    Counting.gate.set()
    return Counting


@pytest.fixture
def ann(db: None) -> User:
    return User.objects.create_user("ann", password="right: é")


def header(username: str, password: str) -> str:
    return "Basic " + b64encode(f"{username}:{password}".encode()).decode()


def request(value: str, address: str = HERE) -> HttpRequest:
    made = HttpRequest()
    made.META = {"HTTP_AUTHORIZATION": value, "REMOTE_ADDR": address}
    return made


def enter(
    authenticator: BasicAuth, password: str, address: str = HERE, username: str = "ann"
) -> Any:
    """Return whom a password lets in."""
    grant = authenticator(request(header(username, password), address))
    return grant and grant.identity


def test_the_right_password_lets_its_user_in_and_no_other_does(ann: User) -> None:
    auth = BasicAuth()
    assert enter(auth, "right: é") == ann
    for username, password in (("ann", "wrong"), ("ann", ""), ("bob", "right: é"), ("", "x")):
        assert enter(auth, password, username=username) is None
    good = header("ann", "right: é")
    for value in (
        "", "Basic", "Basic !", "Basic YW5u", good.replace("Basic", "Bearer"), good + "=",
        "Basic /w==", header("ann\x00", "right: é"), header("ann", "right: é\n"),
    ):  # fmt: skip  # values only
        assert auth(request(value)) is None, value


def test_a_password_that_was_right_is_not_checked_again_for_a_while(
    ann: User, counting: type[Counting], django_assert_num_queries: Any
) -> None:
    auth = BasicAuth()
    enter(auth, "right: é")
    with django_assert_num_queries(1):
        assert enter(auth, "right: é") == ann
    assert counting.checked == ["ann"]
    for _ in range(2):
        assert enter(auth, "wrong") is None
    assert counting.checked == ["ann"] * 3


def test_open_streams_are_looked_at_without_their_passwords_and_end_with_them(
    ann: User, counting: type[Counting]
) -> None:
    auth = Forgetful()
    grant = auth(request(header("ann", "right: é")))
    assert grant is not None and "right" not in grant.credential
    for _ in range(2):
        found = auth.look_again([grant.credential, "other"])
        assert [each.identity for each in found.values()] == [ann]
    assert counting.checked == ["ann"]
    ann.set_password("new")
    ann.save()
    assert auth.look_again([grant.credential]) == {}
    assert auth(request(header("ann", "right: é"))) is None


@pytest.mark.parametrize("change", ["password", "is_active", "delete"])
def test_what_is_remembered_ends_with_the_password_and_with_the_user(
    ann: User, change: str
) -> None:
    auth = BasicAuth()
    assert enter(auth, "right: é") == ann
    match change:
        case "password":
            ann.set_password("new")
            ann.save()
            assert enter(auth, "new") == ann
        case "is_active":
            User.objects.update(is_active=False)
        case _:
            User.objects.all().delete()
    assert enter(auth, "right: é") is None


def test_many_requests_at_once_with_one_password_are_one_check(
    transactional_db: None, counting: type[Counting]
) -> None:
    User.objects.create_user("ann", password="right")
    auth = BasicAuth()
    counting.gate.clear()
    with ThreadPoolExecutor(16) as threads:
        waiting = [threads.submit(enter_and_close, auth, "right") for _ in range(16)]
        assert counting.begun.acquire(timeout=20)
        counting.gate.set()
        assert all(each.result(20) for each in waiting)
    assert len(counting.checked) <= basic.CHECKS_AT_ONCE


def enter_and_close(auth: BasicAuth, password: str) -> Any:
    """Enter in a thread, whose connection nobody else closes."""
    from django.db import connections  # here, since it is about this thread

    try:
        return enter(auth, password)
    finally:
        connections.close_all()


def test_while_too_many_passwords_are_checked_others_are_told_to_try_again(
    transactional_db: None, counting: type[Counting], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(basic, "WAIT_SECONDS", 0.01)
    auth = BasicAuth()
    counting.gate.clear()
    with ThreadPoolExecutor(basic.CHECKS_AT_ONCE) as threads:
        busy = [
            threads.submit(enter_and_close, auth, f"wrong {number}")
            for number in range(basic.CHECKS_AT_ONCE)
        ]
        for _ in busy:
            assert counting.begun.acquire(timeout=20)
        with pytest.raises(UnavailableError):
            enter(auth, "another")
        counting.gate.set()


def test_after_some_wrong_passwords_none_is_tried_for_the_user_from_elsewhere(ann: User) -> None:
    auth = Forgetful()
    assert enter(auth, "right: é", HERE) == ann
    for number in range(auth.guesses_per_user):
        assert enter(auth, f"wrong {number}", f"2001:db8:{number}::1") is None
    for username in ("ann", "ANN", "\uff41nn"):
        with pytest.raises(TooManyGuessesError):
            enter(auth, "right: é", THERE, username)
    # The user has signed in from here before, and others do not keep it out.
    assert enter(auth, "right: é", HERE) == ann


@pytest.mark.parametrize(
    "addresses", [[HERE], [f"2001:db8::{number}" for number in range(9)], [f"::ffff:{HERE}", HERE]]
)
def test_after_some_wrong_passwords_none_is_tried_from_the_address(
    ann: User, addresses: list[str]
) -> None:
    auth = Forgetful()
    for number in range(auth.guesses_per_address):
        address = addresses[number % len(addresses)]
        assert enter(auth, "wrong", address, f"user {number}") is None
    with pytest.raises(TooManyGuessesError):
        enter(auth, "right: é", addresses[-1])
    assert enter(auth, "right: é", THERE) == ann


def test_right_passwords_do_not_count(ann: User) -> None:
    auth = Forgetful()
    for _ in range(10):
        assert enter(auth, "right: é") == ann


def test_whoever_is_remembered_is_not_kept_out_by_guesses(ann: User) -> None:
    auth = Strict()
    assert enter(auth, "right: é") == ann
    for number in range(10):
        try_to_enter(auth, f"wrong {number}", HERE)
    assert enter(auth, "right: é", HERE) == ann


def try_to_enter(auth: BasicAuth, password: str, address: str) -> None:
    try:
        assert enter(auth, password, address) is None
    except TooManyGuessesError:
        return


def test_many_at_once_do_not_pass_the_limit() -> None:
    guesses, together = Guesses("default", 0, 5), threading.Barrier(16)

    def guess(number: int) -> bool:
        together.wait(20)
        try:
            guesses.count(f"user {number}", HERE)
        except TooManyGuessesError:
            return False
        return True

    with ThreadPoolExecutor(16) as threads:
        assert sum(threads.map(guess, range(16))) == 5


def test_while_nobody_can_count_no_password_is_tried(
    ann: User, settings: Any, counting: type[Counting], caplog: pytest.LogCaptureFixture
) -> None:
    away = {"BACKEND": f"{CacheAway.__module__}.CacheAway"}
    settings.CACHES = {**settings.CACHES, "away": away}

    class Elsewhere(BasicAuth):
        cache = "away"

    auth = Elsewhere()
    for _ in range(2):
        with pytest.raises(UnavailableError):
            enter(auth, "right: é")
    assert counting.checked == []
    assert [record.getMessage() for record in caplog.records] == [
        "The cache that counts passwords does not answer: The cache is away."
    ]


@pytest.fixture
async def bound(a2a: ChangeSettings, rpc: JsonRpcClient) -> Callable[..., str]:
    a2a(ANONYMOUS="refuse", AUTHENTICATION=[f"{__name__}.Strict"])
    await sync_to_async(User.objects.create_user)("ann", password="right")
    return header


async def test_clients_are_told_when_to_try_again(
    bound: Callable[..., str], rpc: JsonRpcClient
) -> None:
    rpc.http = AsyncClient(raise_request_exception=False)
    wrong = {"Authorization": bound("ann", "wrong")}
    for _ in range(Strict.guesses_per_user):
        assert error_of(await rpc.call("ListTasks", {}, **wrong)) == (-32050, "UNAUTHENTICATED")
    answer = await rpc.call("ListTasks", {}, **wrong)
    assert answer["error"]["code"] == -32052
    assert answer["error"]["data"][1]["retryDelay"] == "900s"
    response = await HttpJsonClient().ask("GET", "/tasks", **wrong)
    assert refusal_of(response) == (429, "UNAVAILABLE")
    assert response["Retry-After"] == "900"
