"""Shares: an owner with many things to do leaves places to the others."""

import pytest

from a2a_app.concurrency.shares import Shares


def fill(shares: Shares[str], owner: str) -> int:
    """Take all places that an owner may have, and return how many that is."""
    while shares.has_room(owner):
        shares.take(owner)
    return shares.count(owner)


def test_one_owner_may_have_most_places_and_the_next_ones_less() -> None:
    shares: Shares[str] = Shares(50)
    assert [fill(shares, owner) for owner in "abc"] == [40, 8, 1]
    assert fill(shares, "d") == 1 and not shares.has_room("e")


@pytest.mark.parametrize("greedy", range(1, 11))
def test_whoever_has_no_place_is_let_in_beside_many_greedy_owners(greedy: int) -> None:
    shares: Shares[int] = Shares(50)
    for _ in range(50):
        for owner in range(greedy):
            if shares.has_room(owner):
                shares.take(owner)
    assert shares.is_contended
    assert shares.free and shares.has_room(-1)


@pytest.mark.parametrize("places", [1, 2, 5, 6, 50, 1000])
def test_many_places_are_taken_at_once_as_far_as_one_after_the_other(places: int) -> None:
    one_by_one: Shares[str] = Shares(places)
    at_once: Shares[str] = Shares(places)
    most = fill(one_by_one, "a")
    assert most == at_once.largest
    assert at_once.has_room("a", most) and not at_once.has_room("a", most + 1)
    at_once.take("a", most)
    assert at_once.free == one_by_one.free and not at_once.has_room("a")
    at_once.give_back("a", most)
    assert at_once.free == places


def test_a_place_that_is_given_back_may_be_taken_again() -> None:
    shares: Shares[str] = Shares(5)
    assert fill(shares, "a") == 4
    shares.give_back("a")
    assert shares.count("a") == 3 and shares.has_room("a")
    assert not shares.is_contended


def test_what_is_tried_out_on_a_copy_changes_nothing() -> None:
    shares: Shares[str] = Shares(5)
    fill(shares.copy(), "a")
    assert shares.free == 5


def test_places_that_became_fewer_than_are_taken_are_not_free() -> None:
    shares: Shares[str] = Shares(50)
    fill(shares, "a")
    shares.places = 10
    assert shares.free == 0 and not shares.has_room("b")
