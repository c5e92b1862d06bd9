"""Throttles: how many requests one caller, or one address, may make in a minute.

They are counted in Django's cache, from one full minute to the next.
"""

import logging
import time
from hashlib import sha256

from asgiref.sync import sync_to_async
from django.core.cache import cache
from django.http import HttpRequest
from ninja.throttling import BaseThrottle

from a2a_app import conf, protocol
from a2a_app.operations.limits import note_limit

logger = logging.getLogger(__name__)

WINDOW_SECONDS = 60
LIMIT = "REQUESTS_PER_MINUTE"


async def throttle(request: HttpRequest, caller: str) -> None:
    """Count a request, and refuse it if it is one too many.

    Args:
        request: The request.
        caller: The caller's own name. Empty: it is not known, and its address counts, as
            django-ninja finds it behind `NINJA_NUM_PROXIES` proxies.

    Raises:
        ResourceExhaustedError: The caller has made as many in this minute as it may make.
    """
    most = conf.current().requests_per_minute
    who = caller or f"address:{BaseThrottle().get_ident(request)}"
    window, gone = divmod(time.time(), WINDOW_SECONDS)
    if await sync_to_async(_count)(who, int(window)) <= most:
        return
    error = protocol.ResourceExhaustedError(
        f"You may make {most} requests in a minute.",
        limit=LIMIT,
        retry_seconds=WINDOW_SECONDS - int(gone),
    )
    await note_limit(caller, error)
    raise error


def _count(who: str, window: int) -> int:
    """Count a request in the cache, and return how many there are; 0 if the cache does not work.

    Not by `aincr`, which reads and writes back, and so loses what others count meanwhile.
    """
    key = f"a2a:requests:{window}:{sha256(who.encode()).hexdigest()}"
    try:
        if cache.add(key, 1, 2 * WINDOW_SECONDS):
            return 1
        return cache.incr(key)
    except Exception:  # each cache has errors of its own, and none of them is the caller's fault
        logger.warning("Requests are not counted: the cache does not work.", exc_info=True)
        return 0
