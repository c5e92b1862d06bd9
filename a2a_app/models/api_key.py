"""ApiKey: a key by which a program acts for a user."""

import re
import secrets
import string
from collections.abc import Collection
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Self
from zlib import crc32

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from a2a_app import conf
from a2a_app.database.values import new_key

# Its beginning and its checksum are for the scanners that look for secrets in public places. They
# know one from a text that only looks like one without asking anybody.
_FORMAT = re.compile(r"(a2a_([0-9a-f]{16})_[0-9A-Za-z]{43})([0-9A-Za-z]{6})", re.ASCII)
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
# As many as have 256 random bits.
_SECRET_DIGITS = 43
_CHECKSUM_DIGITS = 6


def default_expiry() -> datetime | None:
    """Return when a key expires that is issued now, unless its issuer says otherwise."""
    days = conf.current().api_key_days
    return None if days is None else timezone.now() + timedelta(days=days)


class ApiKey(models.Model):
    """A key by which a program acts for a user; only its digest is stored."""

    id = models.UUIDField(primary_key=True, default=new_key, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="a2a_api_keys"
    )
    name = models.CharField(max_length=100, help_text=_("The program that uses it."))
    scopes = models.CharField(
        max_length=100,
        blank=True,
        help_text=_("What it may do, with spaces between: send, read, cancel, push. Empty: all."),
    )
    agents = models.TextField(
        blank=True,
        help_text=_("The slugs of the agents it is for, with spaces between. Empty: all."),
    )
    prefix = models.CharField(
        max_length=16,
        unique=True,
        editable=False,
        help_text=_("The part of the key that may be shown."),
    )
    digest = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text=_("Exact to the minute.")
    )
    expires_at = models.DateTimeField(
        null=True, blank=True, default=default_expiry, help_text=_("When it expires. Empty: never.")
    )
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    key: str = ""
    """The key itself. Only the object that issued it has it, since it is not stored."""
    actor: str = ""
    """Who issues, changes or revokes it by this object, for the security log; not stored."""
    replaces: str = ""
    """The prefix of the key that it takes the place of, for the same log."""
    was_revoked: bool = False
    """Whether it was revoked already when it was read from the database."""

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} (a2a_{self.prefix}_…)"

    @classmethod
    def from_db(
        cls, db: str | None, field_names: Collection[str], values: Collection[Any], **options: Any
    ) -> Self:
        """Return the object of a row, which knows whether that is revoked already."""
        row = super().from_db(db, field_names, values, **options)
        row.was_revoked = row.__dict__.get("revoked_at") is not None
        return row

    def issue(self) -> str:
        """Make the key of a new row and return it; save the row afterwards."""
        self.prefix = secrets.token_hex(8)
        secret = "".join(secrets.choice(_DIGITS) for _ in range(_SECRET_DIGITS))
        beginning = f"a2a_{self.prefix}_{secret}"
        self.key = beginning + _checksum(beginning)
        self.digest = _digest(self.key)
        return self.key

    def replacement(self) -> "ApiKey":
        """Issue a key that allows the same to the same user; save the row afterwards."""
        new = ApiKey(user=self.user, name=self.name, scopes=self.scopes, agents=self.agents)
        new.issue()
        new.replaces, new.actor = self.prefix, self.actor
        return new

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
    return match[2] if match and match[3] == _checksum(match[1]) else None


def _checksum(beginning: str) -> str:
    """Return the CRC-32 of the rest of a key to the base 62, as in the tokens of GitHub."""
    rest, digits = crc32(beginning.encode()), ""
    while len(digits) < _CHECKSUM_DIGITS:
        rest, digit = divmod(rest, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits


def _digest(key: str) -> str:
    """Return what is stored of a key.

    One round of SHA-256 is enough for a key of 256 random bits. A slow hash protects passwords,
    which can be guessed, and it would cost every request.
    """
    return sha256(key.encode()).hexdigest()
