"""Secrets: values that must not be readable for those who can read the database."""

import json
from base64 import urlsafe_b64encode
from collections import Counter
from hashlib import sha256
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db.models import QuerySet
from django.utils.encoding import force_bytes
from django.views.decorators.debug import sensitive_variables

from a2a_app import conf

KEY_SETTINGS = ("SECRET_KEY", "SECRET_KEY_FALLBACKS")


class UnreadableError(Exception):
    """The secrets were sealed with a SECRET_KEY that the project no longer has."""


@sensitive_variables()
def seal(secrets: dict[str, Any]) -> str:
    """Encrypt secrets with the project's SECRET_KEY; return an empty string if there are none."""
    return _cipher().encrypt(json.dumps(secrets).encode()).decode() if secrets else ""


@sensitive_variables()
def unseal(sealed: str) -> dict[str, Any]:
    """Decrypt what `seal` returned, also with SECRET_KEY_FALLBACKS; raise UnreadableError."""
    if not sealed:
        return {}
    try:
        secrets: dict[str, Any] = json.loads(_cipher().decrypt(sealed.encode()))
    except InvalidToken:
        raise UnreadableError("They were sealed with another SECRET_KEY.") from None
    return secrets


def reseal(sealed: str) -> str:
    """Return secrets as they are if they are sealed with the present SECRET_KEY, else sealed anew.

    Raises:
        UnreadableError: Neither that key nor one of SECRET_KEY_FALLBACKS opens them.
    """
    try:
        _ciphers()[0].decrypt(sealed.encode())
    except InvalidToken:
        return seal(unseal(sealed))
    return sealed


def reseal_rows(rows: "QuerySet[Any]", field: str) -> dict[str, int]:
    """Seal the secrets of rows with the present SECRET_KEY.

    Args:
        rows: The rows.
        field: Their field that has secrets.

    Returns:
        How many were `resealed`, and how many are `unreadable`, since their key is gone.
    """
    done: Counter[str] = Counter()
    for key, sealed in rows.exclude(**{field: ""}).values_list("pk", field):
        try:
            sealed_anew = reseal(sealed)
        except UnreadableError:
            done["unreadable"] += 1
            continue
        # On the condition that they were not replaced meanwhile.
        same = rows.filter(pk=key, **{field: sealed})
        if sealed_anew != sealed and same.update(**{field: sealed_anew}):
            done["resealed"] += 1
    return done


def _cipher() -> MultiFernet:
    return MultiFernet(_ciphers())


@conf.cached(*KEY_SETTINGS)
def _ciphers() -> list[Fernet]:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    # Because of the label nothing else derives this key from the same secret.
    digests = [sha256(b"a2a_app.secrets" + force_bytes(key)).digest() for key in keys]
    return [Fernet(urlsafe_b64encode(digest)) for digest in digests]
