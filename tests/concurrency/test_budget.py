"""The budget: large answers have their bytes in turn, and no owner has all of them."""

import asyncio
import gc

import pytest

from a2a_app.concurrency.budget import PLACE_BYTES, Budget, Reservation, hold

PLACES = 10
SECONDS = 20


@pytest.fixture
async def budget() -> Budget:
    return Budget(PLACES * PLACE_BYTES)


def take(budget: Budget, owner: str, places: int) -> Reservation:
    return budget.reserve(owner, places * PLACE_BYTES)


async def test_an_owner_has_four_fifths_and_leaves_room_to_another(budget: Budget) -> None:
    first, second = take(budget, "a", 4), take(budget, "a", 4)
    third, other = take(budget, "a", 1), take(budget, "b", 1)
    assert [each.is_granted for each in (first, second, third, other)] == [True, True, False, True]
    first.release()
    assert third.is_granted


async def test_a_waiter_keeps_its_place_however_often_it_stops_waiting(budget: Budget) -> None:
    holder, waiter, later = take(budget, "a", 8), take(budget, "a", 8), take(budget, "a", 8)
    assert not await waiter.wait(0) and not await waiter.wait(0)
    holder.release()
    assert await waiter.wait(SECONDS)
    assert not later.is_granted


async def test_nobody_passes_an_owner_that_has_nothing_yet(budget: Budget) -> None:
    holders = [take(budget, "a", 4), take(budget, "b", 2)]
    large, small = take(budget, "c", 8), take(budget, "d", 1)
    assert [large.is_granted, small.is_granted] == [False, False]
    for holder in holders:
        holder.release()
    assert [large.is_granted, small.is_granted] == [True, True]


async def test_what_is_larger_than_an_owners_share_takes_all_of_it(budget: Budget) -> None:
    huge = take(budget, "a", 1000)
    assert huge.is_granted and not take(budget, "a", 1).is_granted
    assert take(budget, "b", 1).is_granted


async def test_what_is_released_twice_or_while_it_waits_is_given_back_once(budget: Budget) -> None:
    holder, waiter = take(budget, "a", 8), take(budget, "a", 8)
    with waiter:
        assert not waiter.is_granted
    holder.release()
    holder.release()
    assert take(budget, "b", 8).is_granted and take(budget, "c", 1).is_granted


class Response:
    """An answer that nobody closes."""


@pytest.mark.slow
@pytest.mark.parametrize("is_closed", [True, False])
async def test_an_answer_gives_back_what_it_holds_when_it_is_closed_or_gone(
    budget: Budget, is_closed: bool
) -> None:
    response = Response()
    release = hold([take(budget, "a", 8)], response)
    waiter = take(budget, "a", 8)
    assert not waiter.is_granted
    if is_closed:
        # Django closes responses in a thread.
        await asyncio.to_thread(release)
    else:
        del response
        gc.collect()
    assert await waiter.wait(SECONDS)
