"""People of the tests: each has a row of every model with data of people."""

from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Model
from django.utils import timezone

from a2a_app import models
from a2a_app.database.values import new_key
from a2a_app.files.rows import attach_files, insert_files, new_file, save_bytes
from a2a_app.models.owners import Scope, name_of_row, owner_in
from a2a_app.protocol import Role, TaskPushNotificationConfig, TaskState
from a2a_app.store.archives import archive_logs
from a2a_app.store.durable.approvals import decided
from a2a_app.store.durable.external_events import send_event
from a2a_app.store.durable.remote_tasks import ask_once
from a2a_app.store.durable.steps import Outcome, Place, record_step
from a2a_app.store.prune import Age
from a2a_app.store.token_usage import Used, record_usage
from a2a_app.store.updates import (
    Ask,
    Asked,
    Decided,
    MessageKey,
    MessageReceived,
    Returned,
    Update,
    Webhook,
)
from a2a_app.store.writes.append import append
from a2a_app.store.writes.contexts import open_context, record
from tests.tasks import SCOPE, begin, chunk, claim_of, new_message, status

HOOK = TaskPushNotificationConfig(id="hook", url="https://example.com/")
BYTES = b"all that was in the file"
# What has a row of each kind: a task that has ended, one whose log is in an archive, one that is at
# work, and an answer.
TASKS, CONVERSATIONS = 3, 2


def scope_of(row: Model, tenant: str = "", agent: str = SCOPE.agent) -> Scope:
    """Return the scope of a row that owns tasks."""
    return Scope(agent, owner_in(tenant, name_of_row(row)))


def fill(scope: Scope, user: User | None = None) -> UUID:
    """Store two ended tasks, one at work and an answer; return the task that is at work."""
    user_id = None if user is None else user.pk
    if user is not None:
        key = models.ApiKey(user=user, name="nightly")
        key.issue()
        key.save()
    name = f"{scope.owner} {scope.agent}"
    received = MessageReceived(
        new_message(f"{name} asked"),
        webhook=Webhook(HOOK, "example.com"),
        key=MessageKey(f"{name} 1", "x"),
    )
    head = begin(scope=scope, context_id="one", user_id=user_id, received=received).head
    _ask_and_decide(head.task_id)
    claim = claim_of(head.task_id)
    assert claim is not None
    now = timezone.now()
    step = Outcome("charge", ["paid"], "", "", "", 1, now, now)
    record_step(claim.head, claim.run, Place(1, 1, "charge"), step)
    send_event(head.task_id, "paid", name, "")
    ask_once(claim.head, claim.run, Place(1, 2, "ask"), "billing", name, is_local=True)
    ended: list[Update] = [
        chunk("done", append=False, last=True),
        status(TaskState.COMPLETED, "so"),
        Returned(),
    ]
    append(claim.head, ended, run=claim.run)
    record_usage(head.task_id, claim.run, 1, Used.checked("gpt", 3, 4, "0.01", "USD"))
    record(
        scope, "two", new_message(), new_message("yes", Role.AGENT), MessageKey(f"{name} 2", "y")
    )
    file = new_file(filename=name, media_type="text/plain", size=len(BYTES))
    insert_files([file])
    save_bytes(file, BYTES)
    attach_files([file.pk], context=open_context(scope, "one"), task=head.task_id)
    _archive(scope, user_id)
    return begin(scope=scope, context_id="one", user_id=user_id).head.task_id


def _ask_and_decide(task_id: UUID) -> None:
    """Have a task ask a question, and decide it."""
    claim = claim_of(task_id)
    assert claim is not None
    ask = Ask(new_key(), 1, "x", 1, "Really?", None, ("yes",), "shop.refund", None)
    asked = append(claim.head, [status(TaskState.AUTH_REQUIRED), Asked(ask)], run=claim.run)
    append(asked.head, [Decided(decided(ask.id, "yes", "", "operator", None))])


def _archive(scope: Scope, user_id: int | None) -> None:
    """Store an ended task whose log is in an archive."""
    head = begin(scope=scope, context_id="one", user_id=user_id).head
    claim = claim_of(head.task_id)
    assert claim is not None
    append(claim.head, [status(TaskState.COMPLETED, "so"), Returned()], run=claim.run)
    assert archive_logs(Age(timezone.now()), [head.task_id], "").tasks == 1


def rows() -> dict[str, int]:
    """Count the rows of every model; of those that add up, only what has owners.

    How many parts an owner has stored varies, and sums of agents are nobody's. Workers come and go,
    and a sweep stores the failures of other tests.
    """
    names = set(models.__all__) - {"Failure", "Worker"}
    counts = {name: getattr(models, name).objects.count() for name in names}
    owners = models.StoredBytes.objects.values("owner").distinct()
    sums = models.Spending.objects.filter(per="caller")
    return {**counts, "StoredBytes": owners.count(), "Spending": sums.count()}
