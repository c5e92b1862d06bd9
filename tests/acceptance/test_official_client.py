"""The official SDK's client against real servers: all that it can do, on both databases."""

import asyncio

import pytest
from a2a.helpers import new_data_part
from a2a.types import a2a_pb2 as pb
from a2a.utils import errors

from tests.app.agents import MIRROR_EXTENSION
from tests.clients.sdk import (
    ENDS,
    SECONDS,
    Connect,
    both_ways,
    card_of,
    chunks,
    data_of,
    headers,
    load_message,
    metadata_of,
    new_message,
    state,
)


async def test_the_card_of_the_site_is_that_of_its_agent(url: str) -> None:
    card = await card_of(url)
    assert card.name == "Echo"
    assert card == await card_of(f"{url}/a2a/echo")


async def test_the_card_of_an_agent_says_where_and_what_it_is(url: str) -> None:
    card = await card_of(f"{url}/a2a/travel-desk")
    reached = {
        (each.protocol_version, each.protocol_binding): each.url
        for each in card.supported_interfaces
    }
    here = f"{url}/a2a/travel-desk"
    assert reached == {
        ("1.0", "JSONRPC"): f"{here}/",
        ("1.0", "HTTP+JSON"): here,
        ("0.3", "JSONRPC"): f"{here}/",
        ("0.3", "HTTP+JSON"): here,
    }
    assert [skill.id for skill in card.skills] == ["itinerary"]
    assert list(card.default_output_modes) == ["text/plain", "text/calendar", "application/json"]
    assert card.capabilities.streaming
    assert card.capabilities.push_notifications
    assert not card.capabilities.extended_agent_card


async def test_a_blocking_send_gives_the_completed_task_with_its_artifact(connect: Connect) -> None:
    async with connect("echo", streaming=False) as client:
        task = await client.send(new_message("one two three"))
    assert state(task) == "COMPLETED"
    [artifact] = task.artifacts
    assert "".join(part.text for part in artifact.parts) == "one two three "
    assert task.id and task.context_id
    assert task.status.timestamp.ToSeconds() > 0


async def test_a_send_that_returns_immediately_gives_a_task_in_progress(connect: Connect) -> None:
    async with connect(streaming=False) as client:
        task = await client.begin(load_message(end="hang"))
        assert state(task) in ("SUBMITTED", "WORKING")
        assert state(await client.get(task.id)) in ("SUBMITTED", "WORKING")
        await client.cancel(task.id)


async def test_a_stream_shows_the_task_first_and_every_chunk_once_and_in_order(
    connect: Connect,
) -> None:
    async with connect() as client:
        items = await client.stream(load_message(chunks=200))
    assert items[0].HasField("task")
    assert chunks(items) == list(range(200))
    assert state(items[-1]) == "COMPLETED"
    updates = [item.artifact_update for item in items if item.HasField("artifact_update")]
    assert len({update.artifact.artifact_id for update in updates}) == 1
    assert [update.last_chunk for update in updates[-2:]] == [False, True]
    task_id, context_id = items[0].task.id, items[0].task.context_id
    assert {(update.task_id, update.context_id) for update in updates} == {(task_id, context_id)}


@both_ways
@pytest.mark.parametrize("end", ENDS)
async def test_it_ends_for_the_client_as_the_agent_ends(
    connect: Connect, end: str, streaming: bool
) -> None:
    async with connect(streaming=streaming) as client:
        items = await client.stream(load_message(end=end, chunks=2))
        assert chunks(items) == [0, 1]
        assert state(items[-1]) == ENDS[end]
        assert state(await client.get(items[0].task.id)) == ENDS[end]


async def test_a_stream_may_hold_what_some_take_for_the_end_of_a_line(connect: Connect) -> None:
    text = "a\x85b\u2028c\u2029d\x0be\x1cf ü\r\n"
    async with connect("mirror") as client:
        items = await client.stream(new_message(text))
    assert items[0].task.history[0].parts[0].text == text
    assert state(items[-1]) == "COMPLETED"


async def test_an_exception_in_an_agent_is_not_shown_to_clients(connect: Connect) -> None:
    async with connect(streaming=False) as client:
        task = await client.send(load_message(end="raise"))
    assert task.status.message.parts[0].text
    assert "Raised, as told" not in str(task)


@both_ways
async def test_an_agent_gets_all_that_a_request_says(connect: Connect, streaming: bool) -> None:
    modes = ["text/plain", "application/json"]
    metadata = {"trace": "é-1", "deep": {"list": [1, None, True, "x"]}}
    async with connect("mirror", streaming=streaming, accepted_output_modes=modes) as client:
        message = new_message("hello", metadata={"of": "the message"})
        message.parts[0].metadata["of"] = "the part"
        asked = headers(A2A_Extensions=f"{MIRROR_EXTENSION},https://example.com/unknown")
        items = await client.stream(message, metadata, asked)
        task = await client.get(items[0].task.id)
    assert data_of(task.artifacts[0]) == {
        "metadata": metadata,
        "message_metadata": {"of": "the message"},
        "parts": [{"text": "hello", "metadata": {"of": "the part"}}],
        "accepted_output_modes": modes,
        "extensions": [MIRROR_EXTENSION],
    }


async def test_files_and_data_survive_in_the_history(connect: Connect) -> None:
    data = {"nested": {"list": [1.5, None, False, "ü", {}]}, "empty": []}
    parts = [
        pb.Part(text="see these"),
        pb.Part(raw=bytes(range(256)), filename="all.bin", media_type="application/octet-stream"),
        pb.Part(url="https://example.com/a.png", filename="a.png", media_type="image/png"),
        new_data_part(data, media_type="application/json"),
        new_data_part(None),
        new_data_part([1, "two"]),
    ]
    message = new_message(*parts, metadata={"kept": True}, extensions=["https://example.com/ext"])
    async with connect("mirror", streaming=False) as client:
        task = await client.send(message)
        found = await client.get(task.id)
    for history in (task.history, found.history):
        assert list(history[0].parts) == parts
        assert history[0].message_id == message.message_id
        assert history[0].metadata == message.metadata
        assert list(history[0].extensions) == ["https://example.com/ext"]


async def test_history_length_says_how_much_history_a_task_comes_with(connect: Connect) -> None:
    async with connect("travel-desk", streaming=False) as client:
        task = await client.send(new_message("Plan a trip to Lisbon"))
        await client.send(new_message("some", task_id=task.id))
        whole = await client.get(task.id)
        by_user = [message for message in whole.history if message.role == pb.ROLE_USER]
        assert [each.parts[0].text for each in by_user] == ["Plan a trip to Lisbon", "some"]
        assert list((await client.get(task.id, 0)).history) == []
        assert list((await client.get(task.id, 1)).history) == list(whole.history)[-1:]
        assert list((await client.get(task.id, 100)).history) == list(whole.history)
        sent = await client.send(new_message("many", task_id=task.id), history_length=0)
        assert list(sent.history) == []


async def test_listing_filters_by_context_and_by_status(connect: Connect) -> None:
    async with connect(streaming=False) as client:
        first = await client.send(load_message())
        context = first.context_id
        second = await client.send(load_message(context, end="failed"))
        await client.send(load_message())
        listed = await client.list(context_id=context)
        assert [task.id for task in listed.tasks] == [second.id, first.id]
        assert (listed.total_size, listed.page_size, listed.next_page_token) == (2, 50, "")
        failed = await client.list(context_id=context, status=pb.TASK_STATE_FAILED)
        assert [task.id for task in failed.tasks] == [second.id]
        assert failed.total_size == 1
        none = await client.list(context_id=context, status=pb.TASK_STATE_REJECTED)
        assert (list(none.tasks), none.total_size) == ([], 0)


async def test_page_tokens_lead_through_all_tasks_once_and_newest_first(connect: Connect) -> None:
    async with connect(streaming=False) as client:
        tasks = [await client.send(load_message())]
        context = tasks[0].context_id
        tasks += [await client.send(load_message(context)) for _ in range(4)]
        pages = await client.pages(context_id=context, page_size=2)
    assert [len(page.tasks) for page in pages] == [2, 2, 1]
    assert {(page.total_size, page.page_size) for page in pages} == {(5, 2)}
    found = [task.id for page in pages for task in page.tasks]
    assert found == [task.id for task in reversed(tasks)]


async def test_listing_gives_artifacts_and_history_as_asked(connect: Connect) -> None:
    async with connect(streaming=False) as client:
        task = await client.send(load_message(chunks=3))

        async def listed(**asked: int) -> pb.Task:
            page = await client.list(context_id=task.context_id, **asked)
            found: pb.Task
            [found] = page.tasks
            return found

        assert list((await listed()).artifacts) == []
        assert list((await listed(include_artifacts=True)).artifacts) == list(task.artifacts)
        assert list((await listed(history_length=0)).history) == []
        assert list((await listed(history_length=1)).history) == list(task.history)[-1:]
        assert len(task.history) == 1


async def test_a_task_is_canceled_and_may_be_canceled_again(connect: Connect) -> None:
    async with connect(streaming=False) as client:
        task = await client.begin(load_message(end="hang"))
        canceled = await client.cancel(task.id)
        assert (canceled.id, state(canceled)) == (task.id, "CANCELED")
        assert await client.cancel(task.id) == canceled
        assert state(await client.get(task.id)) == "CANCELED"


async def test_a_completed_task_cannot_be_canceled(connect: Connect) -> None:
    async with connect(streaming=False) as client:
        task = await client.send(load_message())
        with pytest.raises(errors.TaskNotCancelableError) as refused:
            await client.cancel(task.id)
        assert metadata_of(refused.value) == {"taskId": task.id}
        assert state(await client.get(task.id)) == "COMPLETED"


async def test_a_second_client_sees_the_rest_of_a_running_task(connect: Connect) -> None:
    async with connect() as first, connect() as second, asyncio.timeout(SECONDS):
        running = first.open(load_message(chunks=50, delay=0.01, end="hang"))
        seen = [await anext(running)]
        task_id = seen[0].task.id
        while 3 not in chunks(seen):
            seen.append(await anext(running))
        items = []
        async for item in second.subscribe(task_id):
            items.append(item)
            if 49 in chunks([item]):
                await second.cancel(task_id)
        seen += [item async for item in running]
    assert items[0].HasField("task")
    assert not any(item.HasField("task") for item in items[1:])
    assert chunks(items) == chunks(seen) == list(range(50))
    assert state(items[-1]) == state(seen[-1]) == "CANCELED"
    assert items[1:] == seen[len(seen) - len(items) + 1 :]


async def test_a_subscriber_stays_while_a_task_waits_for_its_client(connect: Connect) -> None:
    async with (
        connect("travel-desk", streaming=False) as first,
        connect("travel-desk") as second,
        asyncio.timeout(SECONDS),
    ):
        task = await first.send(new_message("Plan a trip to Oslo"))
        items = second.subscribe(task.id)
        assert state(await anext(items)) == "INPUT_REQUIRED"
        await first.send(new_message("2", task_id=task.id))
        rest = [item async for item in items]
    # The message leaves the state as it is where it comes before the turn that asked is over.
    said = [state(item) or item.artifact_update.artifact.name for item in rest]
    assert said[-5:] == ["SUBMITTED", "WORKING", "itinerary", "calendar", "COMPLETED"]


async def test_an_ended_task_cannot_be_subscribed_to(connect: Connect) -> None:
    async with connect(streaming=False) as client, connect() as second:
        task = await client.send(load_message())
        with pytest.raises(errors.UnsupportedOperationError) as refused:
            await anext(second.subscribe(task.id))
    assert metadata_of(refused.value) == {"taskId": task.id}


async def test_a_conversation_goes_over_several_turns_to_data_and_a_file(connect: Connect) -> None:
    async with connect("travel-desk", streaming=False) as client:
        asked = await client.send(new_message("Plan a trip"))
        assert state(asked) == "INPUT_REQUIRED"
        assert asked.status.message.parts[0].text == "Where do you want to go?"
        named = await client.send(new_message("Lisbon", task_id=asked.id))
        assert (named.id, named.context_id) == (asked.id, asked.context_id)
        assert state(named) == "INPUT_REQUIRED"
        assert "Lisbon" in named.status.message.parts[0].text
        planned = await client.send(new_message("2", task_id=asked.id, context_id=asked.context_id))
    assert state(planned) == "COMPLETED"
    itinerary, calendar = planned.artifacts
    assert data_of(itinerary) == {"destination": "Lisbon", "days": ["Day 1", "Day 2"]}
    [file] = calendar.parts
    assert (file.filename, file.media_type) == ("trip.ics", "text/calendar")
    assert file.raw.startswith(b"BEGIN:VCALENDAR")
    by_user = [message for message in planned.history if message.role == pb.ROLE_USER]
    assert [message.parts[0].text for message in by_user] == ["Plan a trip", "Lisbon", "2"]
    assert {message.context_id for message in planned.history} == {asked.context_id}


@both_ways
async def test_a_client_that_names_the_context_only_comes_to_its_trip(
    connect: Connect, streaming: bool
) -> None:
    async with connect("travel-desk", streaming=streaming) as client:
        turns = [await client.stream(new_message("Plan a trip"))]
        context_id = turns[0][0].task.context_id
        answers = [new_message(text, context_id=context_id) for text in ("Lisbon", "2")]
        turns += [await client.stream(answer) for answer in answers]
        planned = await client.get(turns[-1][0].task.id)
        # A client that names nothing begins another conversation.
        [*_, other] = await client.stream(new_message("Lisbon"))
    assert [state(items[-1]) for items in turns] == [*["INPUT_REQUIRED"] * 2, "COMPLETED"]
    assert {items[0].task.context_id for items in turns} == {context_id}
    assert data_of(planned.artifacts[0])["destination"] == "Lisbon"
    asked = other.task if other.HasField("task") else other.status_update
    assert asked.context_id != context_id
    assert asked.status.message.parts[0].text == "Where do you want to go?"


async def test_each_turn_of_a_conversation_streams_to_its_own_end(connect: Connect) -> None:
    async with connect("travel-desk") as client:
        first = await client.stream(new_message("Plan a trip to Oslo"))
        second = await client.stream(new_message("1", task_id=first[0].task.id))
    assert state(first[-1]) == "INPUT_REQUIRED"
    assert second[0].task.id == first[0].task.id
    assert state(second[-1]) == "COMPLETED"
    # A client that comes late gets the completed task, and no more.
    last = second[-1].task if second[-1].HasField("task") else second[-1].status_update
    assert "Oslo" in last.status.message.parts[0].text


async def test_a_context_that_is_not_the_tasks_is_refused(connect: Connect) -> None:
    async with connect("travel-desk", streaming=False) as client:
        task = await client.send(new_message("Plan a trip"))
        with pytest.raises(errors.InvalidParamsError):
            await client.send(new_message("Lisbon", task_id=task.id, context_id="another"))
        assert await client.get(task.id) == task


@both_ways
async def test_an_ended_task_takes_no_more_messages(connect: Connect, streaming: bool) -> None:
    async with connect(streaming=streaming) as client:
        task_id = (await client.stream(load_message()))[0].task.id
        before = await client.get(task_id)
        with pytest.raises(errors.UnsupportedOperationError) as refused:
            await client.stream(new_message("more", task_id=task_id))
        assert metadata_of(refused.value) == {"taskId": task_id}
        assert await client.get(task_id) == before


async def test_a_task_of_another_agent_is_not_found(connect: Connect) -> None:
    async with connect("echo", streaming=False) as echo, connect() as load:
        task = await echo.send(new_message("mine"))
        with pytest.raises(errors.TaskNotFoundError):
            await load.get(task.id)
