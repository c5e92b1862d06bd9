"""Authentication backends and caches, as a project might have them."""

import threading
from typing import Any, ClassVar

from django.contrib.auth.backends import ModelBackend
from django.core.cache.backends.base import BaseCache
from django.http import HttpRequest


class Counting(ModelBackend):
    """Counts the passwords that it checks, and waits while the gate is closed."""

    checked: ClassVar[list[str]] = []
    begun: ClassVar = threading.Semaphore(0)
    gate: ClassVar = threading.Event()

    def authenticate(self, request: HttpRequest | None, *args: Any, **kwargs: Any) -> Any:
        """Check a password, for a request, without which some backends do nothing."""
        assert request is not None
        self.checked.append(kwargs["username"])
        self.begun.release()
        assert self.gate.wait(20)
        return super().authenticate(request, *args, **kwargs)


class CacheAway(BaseCache):
    """A cache that cannot be reached."""

    def __init__(self, *args: Any) -> None:
        super().__init__({})

    def add(self, *args: Any, **kwargs: Any) -> bool:
        """Fail."""
        raise ConnectionError("The cache is away.")
