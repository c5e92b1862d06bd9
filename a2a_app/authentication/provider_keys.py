"""ProviderKeys: the public keys of a provider of tokens, cached, and fetched within limits.

Which key a token names is its sender's choice. So an unknown one leads to a fetch now and then
only, and a fetch that fails is not repeated at once. Whoever has a token of a known key does not
wait for any fetch.
"""

import logging
import math
import threading
import time

import jwt
from django.core.exceptions import ImproperlyConfigured

from a2a_app.concurrency.outages import Outage
from a2a_app.protocol import UnavailableError

# How old the keys may be. Older ones are good too, and others are fetched meanwhile.
KEYS_SECONDS = 300.0
# How old they may be while the provider is away. It may have withdrawn one of them.
OUTAGE_SECONDS = 3600.0
# How long a fetch may take.
TIMEOUT_SECONDS = 5.0
# How often keys are fetched because of tokens that name an unknown one, and after a failure.
REFRESH_SECONDS = 30.0
RETRY_SECONDS = 5.0
# The name of the threads in which keys are fetched for which nobody waits.
THREAD = "a2a-provider-keys"

logger = logging.getLogger(__name__)


class ProviderKeys:
    """The keys at one URL, in the form of a JWK Set (RFC 7517). Any thread may ask for one."""

    def __init__(self, url: str) -> None:
        """Fetch nothing yet; raise ImproperlyConfigured for a URL that is not http or https."""
        try:
            self._client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=TIMEOUT_SECONDS)
        except jwt.PyJWKClientError as error:
            raise ImproperlyConfigured(str(error)) from None
        self._outage = Outage(logger, "The provider of tokens")
        self._lock = threading.Lock()
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._fetched_at = self._tried_at = -math.inf

    def find(self, key_id: str | None) -> jwt.PyJWK | None:
        """Return a key by its id; None if the provider has none of that id.

        Raises:
            UnavailableError: The keys cannot be fetched.
        """
        age = time.monotonic() - self._fetched_at
        key = self._keys.get(key_id)
        if key is not None and age <= KEYS_SECONDS:
            return key
        if key is not None and age <= OUTAGE_SECONDS:
            if self._may_fetch():
                threading.Thread(target=self._refresh, name=THREAD, daemon=True).start()
            return key
        with self._lock:
            self._fetch()
        if time.monotonic() - self._fetched_at > OUTAGE_SECONDS:
            raise UnavailableError("The keys of the tokens' issuer cannot be fetched.")
        return self._keys.get(key_id)

    def _may_fetch(self) -> bool:
        pause = RETRY_SECONDS if self._fetched_at < self._tried_at else REFRESH_SECONDS
        return time.monotonic() - self._tried_at >= pause

    def _refresh(self) -> None:
        if self._lock.acquire(blocking=False):
            try:
                self._fetch()
            finally:
                self._lock.release()

    def _fetch(self) -> None:
        """Fetch the keys, unless that was tried just now. Call it with the lock."""
        if not self._may_fetch():
            return
        self._tried_at = time.monotonic()
        try:
            found = self._client.get_signing_keys()
        # Besides the library's errors there are those of JSON and of sockets.
        except (jwt.PyJWTError, ValueError, OSError) as error:
            self._tried_at = time.monotonic()
            self._outage.begin(error)
            return
        self._keys = {key.key_id: key for key in found}
        self._fetched_at = self._tried_at = time.monotonic()
        self._outage.end()
