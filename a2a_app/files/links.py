"""References and links: the URLs of files in what is stored, and in what clients get.

In what is stored, the URL of a part is a reference: `a2a-file:` and the file's id. Clients get a
link instead, by which the file's owner can download it for a while. A link depends on the host that
a client reaches, and it expires. So links are made as an answer goes out, and the log has none.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.core import signing
from django.urls import reverse
from pydantic_core import from_json, to_json

from a2a_app import conf
from a2a_app.models.owners import tenant_of

SCHEME = "a2a-file:"
TOKEN_PATTERN = r"[0-9a-f]{32}:[0-9A-Za-z]+:[0-9A-Za-z_-]{43}"  # noqa: S105  # a pattern

TENANT = "tenant"
"""The parameter in a link's query that has the key of its owner's tenant."""

REFERENCE = f'"url":"{SCHEME}'
"""The beginning of a reference in JSON of ours. It cannot be part of a string, in which its quotes
would have backslashes before them."""

_LINK = re.compile(rf"https?://[^?#]*/({TOKEN_PATTERN})(\?{TENANT}=[^&#]*)?")
# The members that may contain parts. Data and metadata are their authors' own and left as they are.
_CONTAINERS = (
    "task", "tasks", "status", "history", "message", "artifact", "artifacts", "statusUpdate",
    "artifactUpdate",
)  # fmt: skip  # names only


class ExpiredError(Exception):
    """A link was valid, but has expired."""


def reference(file_id: UUID) -> str:
    """Return the URL that stands for a file in what is stored."""
    return f"{SCHEME}{file_id}"


def file_id_in_url(url: str, owner: str) -> str | None:
    """Return the id in a reference, or in a link that was made for this owner, however old.

    Returns:
        The id. That of a reference may be any text, since it was not checked. None: the URL is
        neither a reference nor such a link.
    """
    if url.startswith(SCHEME):
        return url.removeprefix(SCHEME)
    link = _LINK.fullmatch(url)
    if link is None:
        return None
    try:
        return str(UUID(_signer(owner).unsign(link[1])))
    except signing.BadSignature:
        return None


def file_id_in_token(token: str, owner: str) -> str:
    """Return the id of the file to which a link's token leads its owner.

    Raises:
        ExpiredError: The link was made longer than LINK_SECONDS ago.
        LookupError: The token is not one for this owner.
    """
    age = timedelta(seconds=conf.current().link_seconds)
    try:
        return str(UUID(_signer(owner).unsign(token, max_age=age)))
    except signing.SignatureExpired:
        raise ExpiredError from None
    except signing.BadSignature:
        raise LookupError(token) from None


class Links:
    """Replaces references by links in what goes out to one owner."""

    def __init__(self, owner: str, base_url: Callable[[], str]) -> None:
        """Make links for an owner. The base URL is asked for only if there is a file."""
        self._owner = owner
        self._base_url = base_url

    def replace_in_json(self, body: str) -> str:
        """Return a result or an event, in JSON of 1.0, with links in place of references."""
        if REFERENCE not in body:
            return body
        return to_json(self.replace_in_values(from_json(body))).decode()

    def replace_in_values(self, value: Any) -> Any:
        """Replace references in JSON values of 1.0 in place, and return the values."""
        if isinstance(value, list):
            for each in value:
                self.replace_in_values(each)
        else:
            for part in value.get("parts", ()):
                if part.get("url", "").startswith(SCHEME):
                    part["url"] = self._link(part["url"])
            for name in _CONTAINERS:
                if name in value:
                    self.replace_in_values(value[name])
        return value

    def _link(self, url: str) -> str:
        token = _signer(self._owner).sign(UUID(url.removeprefix(SCHEME)).hex)
        tenant = tenant_of(self._owner)
        query = f"?{urlencode({TENANT: tenant})}" if tenant else ""
        return self._base_url() + reverse("a2a:file", args=[token]) + query


def _signer(owner: str) -> signing.TimestampSigner:
    # The owner is part of the salt and not of the link, which so tells nobody whose file it is.
    return signing.TimestampSigner(salt=f"a2a_app.files:{owner}")
