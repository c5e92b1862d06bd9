"""Writer: how one run appends. Updates that come during a commit go into the next one."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar
from uuid import UUID

from a2a_app import database
from a2a_app.database.statements import Write
from a2a_app.database.values import current_time
from a2a_app.protocol import TaskState
from a2a_app.store.claims import WorkerSlot
from a2a_app.store.events import Appended
from a2a_app.store.notify import notify
from a2a_app.store.refusals import RunLostError, TaskEndedError
from a2a_app.store.task_head import RunKey, TaskHead
from a2a_app.store.updates import ArtifactUpdate, Returned, StatusUpdate, Update
from a2a_app.store.writes.append import append, enqueue_nothing
from a2a_app.store.writes.attachments import StoredAttachments, with_attachments
from a2a_app.store.writes.projection import check
from a2a_app.store.writes.repetition import Repetition

P = ParamSpec("P")
T = TypeVar("T")

# How many updates one transaction takes, and how many characters of text, and so how many may wait.
# An agent that is faster than the database waits for it, and does not fill the memory.
BATCH = 128
BATCH_CHARACTERS = 1024 * 1024


class Writer:
    """Appends a run's updates in order, with one transaction for all that are waiting."""

    def __init__(self, head: TaskHead, run: RunKey, *, on_loss: Callable[[], None]) -> None:
        """Write for a run that holds its task.

        Args:
            head: The task as it was claimed.
            run: The run, checked at every write.
            on_loss: Called once if work is pointless: the task has ended or is another run's, or
                the database was away for a lease.
        """
        self.head = head
        self._checked = head
        self._run = run
        self._on_loss = on_loss
        self.accepted_at = 0.0
        """When the newest update was accepted, on the event loop's clock."""
        self.repetition: Repetition | None = None
        """What earlier attempts have said, which is not appended again; None: it does not count."""
        self._waiting: list[Update] = []
        self._characters = 0
        self._committed = asyncio.Event()
        self._flushing: asyncio.Task[None] | None = None
        self._failure: Exception | None = None

    async def put(self, *updates: Update) -> None:
        """Accept updates, to be committed in one transaction and after those before them.

        Returns once there is room for more. After a terminal or interrupted status, and after the
        end of the turn, returns once all of it is committed.

        Raises:
            Refused: The rules forbid an update, or an earlier one could not be written.
        """
        self.accept(*updates)
        if any(_rests(update) for update in updates):
            await self.flushed()
        while len(self._waiting) >= BATCH or self._characters >= BATCH_CHARACTERS:
            await self._next_commit()
        self._raise_failure()

    def accept(self, *updates: Update) -> None:
        """Accept updates as `put` does, without waiting. They are committed soon."""
        self._raise_failure()
        if self.repetition is not None:
            updates = tuple(self.repetition.rest(updates))
        checked = self._checked
        for update in updates:
            checked = check(checked, update)
        self._checked = checked
        self.accepted_at = asyncio.get_running_loop().time()
        self._waiting.extend(updates)
        self._characters += sum(map(_characters, updates))
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())

    @property
    def state(self) -> TaskState:
        """The state of the task after the updates accepted so far."""
        return self._checked.state

    @property
    def is_writing(self) -> bool:
        """Whether an accepted update is not yet known to be committed."""
        return self._flushing is not None

    def refuse(self) -> None:
        """Refuse all further updates, since the run is known to have lost its task."""
        self._failure = self._failure or RunLostError()
        self._clear()

    async def flushed(self) -> None:
        """Wait until everything accepted so far is committed; raise what went wrong."""
        while self._flushing is not None:
            await self._next_commit()
        self._raise_failure()

    async def _next_commit(self) -> None:
        self._committed.clear()
        await self._committed.wait()

    async def _flush(self) -> None:
        """Commit until nothing waits, and notify others of each commit before the next one."""
        try:
            while self._waiting and self._failure is None:
                batch = self._clear()
                appended = await self._commit(batch)
                self.head = appended.head
                await notify(appended)
                self._committed.set()
        except Exception as error:  # raised by the agent's next verb
            # That the run has lost its task says more than the error of a connection.
            self._failure = self._failure or error
            self._clear()
            if isinstance(error, TaskEndedError | RunLostError | database.AwayError):
                self._on_loss()
        finally:
            self._flushing = None
            self._committed.set()

    def _clear(self) -> list[Update]:
        """Return what waits, and have nothing wait any more."""
        waiting, self._waiting, self._characters = self._waiting, [], 0
        return waiting

    async def _commit(self, batch: list[Update]) -> Appended:
        """Append a batch, and store its files before."""
        head, now = self.head, current_time()
        stored = StoredAttachments(batch, owner=head.owner, task_id=head.task_id, run=self.persist)
        async with stored:
            return await self._insist(
                partial(append, head, with_attachments(stored), run=self._run, now=now)
            )

    async def persist(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do a unit of work that may be done twice, and retry it while the database is away.

        It is apart from the updates, and not refused where those are.
        """
        return await self._insist(lambda **_: work(*args, **kwargs))

    async def _insist(self, work: Callable[..., T]) -> T:
        return await database.run_until_answered(work, give_up=lambda: self._failure is not None)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


def _characters(update: Update) -> int:
    """Return how many characters of text an update has. Its bytes become files."""
    match update:
        case ArtifactUpdate(artifact=said) | StatusUpdate(message=said) if said is not None:
            return sum([len(part.text) for part in said.parts if part.text])
        case _:
            return 0


def _rests(update: Update) -> bool:
    match update:
        case StatusUpdate(state=state):
            return state.is_terminal or state.is_interrupted
        case _:
            return isinstance(update, Returned)


async def write(
    head: TaskHead,
    update: Update,
    *,
    run: RunKey | None = None,
    enqueue: Callable[[UUID], None] = enqueue_nothing,
    first_job: Write | None = None,
    worker_slot: WorkerSlot | None = None,
) -> Appended:
    """Append one update outside any writer, such as a client's message, and notify others of it.

    The commit and the notification belong together: a caller that may be cancelled shields this
    call. The other arguments are those of `append`.
    """
    async with StoredAttachments([update], owner=head.owner, task_id=head.task_id) as stored:
        updates = with_attachments(stored)
        appended = await database.run(
            append,
            head,
            updates,
            run=run,
            enqueue=enqueue,
            first_job=first_job,
            worker_slot=worker_slot,
        )
    await notify(appended)
    return appended
