"""Owners: the one string that says to whom a task, a conversation or a file belongs (R11)."""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db.models import Model

from a2a_app import conf

MAX_OWNER = 255
# How the caller is called to whom the tasks of a deleted row were passed, before an id of its own.
DELETED = "deleted"

# No caller's name begins so, since each begins with one of the kinds in `bindings/callers.py`.
_TENANT = "tenant:"
# How many bits of the number of a queue are its own. The others are its owner's.
_QUEUE_BITS = 31


@dataclass(frozen=True, slots=True)
class Scope:
    """The tasks that a read may see: those of one owner with one agent (R11)."""

    agent: str
    owner: str

    def tasks(self) -> dict[str, Any]:
        """Return the conditions on tasks with which every read for a caller begins."""
        return {"agent": self.agent, "owner": self.owner}


def owner_in(tenant: str, caller: str) -> str:
    """Return the owner that a caller is within a tenant. No two pairs of both have the same owner.

    Args:
        tenant: The tenant's key. Empty: none.
        caller: The caller's own name. Empty: the caller is not known.

    Raises:
        ValueError: The tenant's key has a slash, and so could make the owner of another pair.
    """
    if "/" in tenant:
        raise ValueError("The key of a tenant must have no slash.")
    prefix = f"{_TENANT}{tenant}/" if tenant else ""
    if len(prefix) + len(caller) > MAX_OWNER:
        # Not cut short: two names could become the same.
        caller = _digest(caller)
    return prefix + caller


@lru_cache(maxsize=1024)
def queue_of(owner: str, name: str = "") -> int:
    """Return the number under which what an owner has for a host, or for an agent, waits.

    An owner's queues have numbers that follow each other, so that an index can pass over all of
    them. Two owners with the same half have one share together. That happens to one pair of four
    billion.
    """
    return _number(owner, 32) << _QUEUE_BITS | _number(name, _QUEUE_BITS)


def queues_of(owner: str) -> tuple[int, int]:
    """Return the first and the last queue that an owner may have."""
    first = _number(owner, 32) << _QUEUE_BITS
    return first, last_queue_beside(first)


def last_queue_beside(queue: int) -> int:
    """Return the last queue of the owner that has this one."""
    return queue | (1 << _QUEUE_BITS) - 1


def half_of(queue: int) -> int:
    """Return what all queues of an owner have in common."""
    return queue >> _QUEUE_BITS


def _number(text: str, bits: int) -> int:
    return int.from_bytes(sha256(text.encode()).digest()[:4]) >> 32 - bits


def tenant_of(owner: str) -> str:
    """Return the key of the tenant to which an owner belongs; empty if there is none."""
    return owner.removeprefix(_TENANT).partition("/")[0] if owner.startswith(_TENANT) else ""


def is_active(owner: str) -> bool:
    """Tell whether an owner is still there, by the row that it stands for.

    It is not once that row, such as a user, is deleted or has an `is_active` that is false. An
    owner that is a name and no row is active for ever. Ask on a thread of the database.
    """
    if caller_of(owner).partition(":")[0] == DELETED:
        return False
    try:
        row = row_of(owner)
    except LookupError:
        return True
    return row is not None and bool(getattr(row, "is_active", True))


def row_of(owner: str) -> Model | None:
    """Read the row that an owner stands for, such as a user. Ask on a thread of the database.

    Returns:
        The row; None: it was deleted.

    Raises:
        LookupError: The owner is a name and no row, or of an app that is installed no more.
    """
    kind, _, key = caller_of(owner).partition(":")
    if kind != "user" and "." not in kind:
        raise LookupError(kind)
    model = get_user_model() if kind == "user" else apps.get_model(kind)
    try:
        value = model._meta.pk.to_python(key)
    except ValidationError as error:
        raise LookupError(key) from error
    row: Model | None = model._base_manager.filter(pk=value).first()
    return row


def caller_of(owner: str) -> str:
    """Return the caller's own name in an owner, or the digest of it: the owner without a tenant."""
    return owner.partition("/")[2] if owner.startswith(_TENANT) else owner


def callers_named(name: str) -> tuple[str, str]:
    """Return what `caller_of` may return for a caller's own name."""
    return name, _digest(name)


def name_of_row(row: Model) -> str:
    """Return the name of the caller whose tasks belong to a saved row."""
    if isinstance(row, get_user_model()):
        return name_of_user(row.pk)
    # With its label, because a user may have the same key.
    return f"{_concrete(type(row))._meta.label_lower}:{row.pk}"


def name_of_user(key: Any) -> str:
    """Return the name of the caller that is a Django user, by the user's primary key."""
    return f"user:{key}"


@conf.cached(conf.NAME, "AUTH_USER_MODEL")
def owner_models() -> frozenset[type[Model]]:
    """Return the models whose rows may own tasks: the user model, and those of OWNER_MODELS.

    Raises:
        ImproperlyConfigured: OWNER_MODELS names what is no model.
    """
    try:
        named = [apps.get_model(label) for label in conf.current().owner_models]
    except (LookupError, ValueError) as error:
        raise ImproperlyConfigured(f"{conf.NAME}['OWNER_MODELS']: {error}") from None
    return frozenset(map(_concrete, [get_user_model(), *named]))


def may_own(row: Model) -> bool:
    """Tell whether a row is of a model whose rows may own tasks, or of one that inherits it."""
    return any(isinstance(row, model) for model in owner_models())


def _concrete(model: type[Model]) -> type[Model]:
    """Return the model that a proxy stands for; any other model itself."""
    concrete: type[Model] = model._meta.concrete_model or model
    return concrete


def _digest(caller: str) -> str:
    return f"digest:{sha256(caller.encode()).hexdigest()}"
