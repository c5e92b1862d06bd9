"""ApiKey: what a program shows for a user."""

import re
import secrets
from hashlib import sha256

from django.conf import settings
from django.db import models
from django.utils import timezone

from a2a_app.models.keys import new_key

_FORM = re.compile(r"a2a_([0-9a-f]{16})_[A-Za-z0-9_-]{43}", re.ASCII)


class ApiKey(models.Model):
    """A key by which a program acts for a user; only its digest is stored."""

    id = models.UUIDField(primary_key=True, default=new_key, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="a2a_api_keys"
    )
    name = models.CharField(max_length=100, help_text="Which program has it.")
    prefix = models.CharField(
        max_length=16, unique=True, editable=False, help_text="The part that may be shown."
    )
    digest = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="To the minute."
    )
    expires_at = models.DateTimeField(
        null=True, blank=True, help_text="From then on it is refused; empty: never."
    )
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    key: str = ""
    """The key itself: only on the object that issued it."""

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} (a2a_{self.prefix}_…)"

    def issue(self) -> str:
        """Make the key of a new row, and give it; save the row afterwards."""
        self.prefix = secrets.token_hex(8)
        self.key = f"a2a_{self.prefix}_{secrets.token_urlsafe(32)}"
        self.digest = _digest(self.key)
        return self.key

    @property
    def is_usable(self) -> bool:
        """Whether it is neither revoked nor expired."""
        unexpired = self.expires_at is None or self.expires_at > timezone.now()
        return unexpired and self.revoked_at is None

    def is_of(self, key: str) -> bool:
        """Tell whether this is the row of a key, in a time that says nothing of the digest."""
        return secrets.compare_digest(self.digest, _digest(key))


def prefix_of(key: str) -> str | None:
    """Give the part of a key by which its row is found; None for what is no key of ours."""
    found = _FORM.fullmatch(key)
    return found[1] if found else None


def _digest(key: str) -> str:
    """Give what is stored of a key.

    One round of SHA-256 is enough: a slow hash protects what people choose, which can be guessed,
    and would cost every request. A key has 256 random bits.
    """
    return sha256(key.encode()).hexdigest()
