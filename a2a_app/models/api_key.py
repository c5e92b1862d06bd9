"""ApiKey: a key by which a program acts for a user."""

import re
import secrets
from hashlib import sha256

from django.conf import settings
from django.db import models
from django.utils import timezone

from a2a_app.database.values import new_key

_FORMAT = re.compile(r"a2a_([0-9a-f]{16})_[A-Za-z0-9_-]{43}", re.ASCII)


class ApiKey(models.Model):
    """A key by which a program acts for a user; only its digest is stored."""

    id = models.UUIDField(primary_key=True, default=new_key, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="a2a_api_keys"
    )
    name = models.CharField(max_length=100, help_text="The program that uses it.")
    prefix = models.CharField(
        max_length=16,
        unique=True,
        editable=False,
        help_text="The part of the key that may be shown.",
    )
    digest = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Exact to the minute."
    )
    expires_at = models.DateTimeField(
        null=True, blank=True, help_text="When it expires. Empty: never."
    )
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    key: str = ""
    """The key itself. Only the object that issued it has it, since it is not stored."""

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} (a2a_{self.prefix}_…)"

    def issue(self) -> str:
        """Make the key of a new row and return it; save the row afterwards."""
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
        """Tell whether this is the row of a key. The time it takes says nothing of the digest."""
        return secrets.compare_digest(self.digest, _digest(key))


def prefix_of(key: str) -> str | None:
    """Return the part of a key by which its row is found; None if it is no key of ours."""
    match = _FORMAT.fullmatch(key)
    return match[1] if match else None


def _digest(key: str) -> str:
    """Return what is stored of a key.

    One round of SHA-256 is enough for a key of 256 random bits. A slow hash protects passwords,
    which can be guessed, and it would cost every request.
    """
    return sha256(key.encode()).hexdigest()
