"""Notifications of agents elsewhere that a turn has asked: each has the turn look at once.

Nothing in a notification is believed. Whoever forges one, with the token of a task, has our server
ask the agent for that task, and nothing else.
"""

import time
from uuid import UUID

from django.core.handlers.wsgi import WSGIRequest
from django.core.signing import BadSignature, Signer
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from a2a_app import conf, protocol
from a2a_app.bindings.throttles import WINDOW_SECONDS, throttle
from a2a_app.bindings.wsgi import body_of, do_on_lasting_loop
from a2a_app.operations.remote_tasks import look_again
from a2a_app.protocol.states import INTERRUPTED_STATES, TERMINAL_STATES
from a2a_app.push.sender import TOKEN_HEADER

# How much of a notification is read. What is larger rings in any case.
READ_BYTES = 64 * 1024
# How often a turn may be told to look at one task in a minute, by each process. A task rests a few
# times, and whoever has its token may be anybody who once was told of it.
RINGS_PER_MINUTE = 60
# Of how many tasks that is counted. One more, and the counts of all begin anew.
MAX_COUNTED = 10_000
_RESTING = [state.value for state in INTERRUPTED_STATES | TERMINAL_STATES]
# In what a notification of either version says of a task for which there is something to do now.
_NEWS = [
    *(value.encode() for value in _RESTING),
    *(
        f'"{value.removeprefix("TASK_STATE_").lower().replace("_", "-")}"'.encode()
        for value in _RESTING
    ),
]


def webhook_for(asked: UUID) -> tuple[str, str]:
    """Return the URL at which we hear of a task that another agent has, and the token for it.

    Args:
        asked: The key of the `RemoteTask`.

    Returns:
        The URL, and the token that each notification must have. Both are empty without PUBLIC_URL.
    """
    public_url = conf.current().public_url
    if not public_url:
        return "", ""
    path = reverse("a2a:remote_task", kwargs={"asked": asked})
    return public_url.rstrip("/") + path, _signer().signature(str(asked))


async def serve_notification(request: HttpRequest, asked: UUID) -> HttpResponse:
    """Have the turn that has asked look at once, if the task may rest or be over (section 4.3.3).

    Raises:
        InvalidRequestError: The body breaks off.
        ResourceExhaustedError: There are more of them in this minute than a caller may send, or
            than a task may have that tell of something.
    """
    heard = _hear(request, asked)
    return await (do_on_lasting_loop(heard) if isinstance(request, WSGIRequest) else heard)


async def _hear(request: HttpRequest, asked: UUID) -> HttpResponse:
    try:
        _signer().unsign(f"{asked}:{request.headers.get(TOKEN_HEADER, '')}")
    except BadSignature:
        return HttpResponse(status=403)
    if conf.current().requests_per_minute:
        await throttle(request, f"remote task:{asked}")
    said = body_of(request, READ_BYTES + 1)
    if len(said) > READ_BYTES or any(news in said for news in _NEWS):
        _count_ring(asked)
        await look_again(asked)
    return HttpResponse(status=204)


def _count_ring(asked: UUID) -> None:
    """Count that a turn is told to look; raises ResourceExhaustedError where that is too often."""
    window, gone = divmod(time.monotonic(), WINDOW_SECONDS)
    counted_in, count = _rung.get(asked, (window, 0))
    if counted_in != window:
        count = 0
    if count >= RINGS_PER_MINUTE:
        raise protocol.ResourceExhaustedError(
            f"A task may be told of {RINGS_PER_MINUTE} times in a minute.",
            limit="RINGS_PER_MINUTE",
            retry_seconds=WINDOW_SECONDS - int(gone),
        )
    if asked not in _rung and len(_rung) >= MAX_COUNTED:
        _rung.clear()
    _rung[asked] = window, count + 1


def _signer() -> Signer:
    return Signer(salt="a2a_app.remote_task")


_rung: dict[UUID, tuple[float, int]] = {}
"""In which minute of the process each task was last told of, and how often in it."""
