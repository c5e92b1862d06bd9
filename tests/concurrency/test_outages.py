"""Outages: what the log has of a service that goes away, wavers and comes back."""

import logging
from types import SimpleNamespace

import pytest

from a2a_app.concurrency import outages
from a2a_app.concurrency.outages import WAVERING_SECONDS, Outage

GONE, BACK = "The service does not answer: gone", "The service answers again."


class Service:
    """A service that fails and answers at given times, and what is logged of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        self.now = 0.0
        self.outage = Outage(logging.getLogger("a2a_app"), "The service")
        self._caplog = caplog
        monkeypatch.setattr(outages, "time", SimpleNamespace(monotonic=lambda: self.now))

    def fail(self, at: float) -> None:
        self.now = at
        self.outage.begin(ConnectionError("gone"))

    def answer(self, at: float) -> None:
        self.now = at
        self.outage.end()

    @property
    def log(self) -> list[str]:
        return self._caplog.messages


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Service:
    return Service(monkeypatch, caplog)


def test_a_service_that_fails_often_is_logged_once_when_it_goes_and_once_when_it_is_back(
    service: Service,
) -> None:
    for second in range(100):
        service.fail(second)
    assert service.outage.seconds == 99
    service.answer(100)
    service.answer(101)
    assert service.outage.seconds == 0
    assert service.log == [GONE, BACK]


def test_a_service_that_wavers_as_it_comes_back_is_not_logged_each_time(service: Service) -> None:
    service.fail(100)
    for number in range(20):
        service.answer(101 + number / 10)
        service.fail(101.05 + number / 10)
        assert service.outage.is_on, "The log is spared, and nobody is told that it answers."
    service.answer(104)
    assert service.log == [GONE, BACK]


def test_a_service_that_wavers_for_long_is_logged_as_away_again(service: Service) -> None:
    service.fail(100)
    service.answer(101)
    service.fail(101 + WAVERING_SECONDS / 2)
    assert service.log == [GONE, BACK]
    service.fail(101 + WAVERING_SECONDS)
    assert service.log == [GONE, BACK, GONE]
    service.answer(102 + WAVERING_SECONDS)
    assert service.log == [GONE, BACK, GONE, BACK]
