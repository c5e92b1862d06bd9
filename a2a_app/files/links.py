"""Links: how what is stored names a file, and how the file's owner gets at it for a while.

What is stored has a reference, as the URL of a part: `a2a-file:` and the file's id. A link has the
host that a client reaches, and an end. So it is made as an answer goes out, and the log has none.
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
TOKEN = r"[0-9a-f]{32}:[0-9A-Za-z]+:[0-9A-Za-z_-]{43}"  # noqa: S105  # what one looks like

TENANT = "tenant"
"""What names, in a link's query, the key of the tenant that its owner is within."""

# As it stands in JSON of ours. Within a string its quotes would have backslashes before them.
_MARK = f'"url":"{SCHEME}'
_LINK = re.compile(rf"https?://[^?#]*/({TOKEN})(\?{TENANT}=[^&#]*)?")
# Members under which there may be parts. Data and metadata are their authors', and left alone.
_HOLDERS = (
    "task", "tasks", "status", "history", "message", "artifact", "artifacts", "statusUpdate",
    "artifactUpdate",
)  # fmt: skip  # names only


class ExpiredError(Exception):
    """A link was good once."""


def reference(file_id: UUID) -> str:
    """Give the URL by which what is stored names a file."""
    return f"{SCHEME}{file_id}"


def file_named_by(url: str, owner: str) -> str | None:
    """Give the id in a reference, or in a link that was made for this owner, however old.

    None: it is another URL. Of a reference it may be anything: nobody has checked it.
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


def file_of_token(token: str, owner: str) -> str:
    """Give the id of the file that a link's token leads its owner to.

    Raises ExpiredError; and LookupError for a token that is not this owner's, or nobody's.
    """
    age = timedelta(seconds=conf.current().link_seconds)
    try:
        return str(UUID(_signer(owner).unsign(token, max_age=age)))
    except signing.SignatureExpired:
        raise ExpiredError from None
    except signing.BadSignature:
        raise LookupError(token) from None


class Links:
    """Puts links into what goes out to one owner."""

    def __init__(self, owner: str, base_url: Callable[[], str]) -> None:
        """Make links for an owner, below a base URL that is asked for where there is a file."""
        self._owner = owner
        self._base_url = base_url

    @staticmethod
    def are_in(body: str) -> bool:
        """Tell whether a result, or an event, may have a reference: JSON of 1.0."""
        return _MARK in body

    def in_json(self, body: str) -> str:
        """Give a result, or an event, with links in place of references: JSON of 1.0."""
        if not self.are_in(body):
            return body
        return to_json(self.in_values(from_json(body))).decode()

    def in_values(self, value: Any) -> Any:
        """Put links into JSON values of 1.0, in place."""
        if isinstance(value, list):
            for each in value:
                self.in_values(each)
        else:
            for part in value.get("parts", ()):
                if part.get("url", "").startswith(SCHEME):
                    part["url"] = self._link(part["url"])
            for name in _HOLDERS:
                if name in value:
                    self.in_values(value[name])
        return value

    def _link(self, url: str) -> str:
        token = _signer(self._owner).sign(UUID(url.removeprefix(SCHEME)).hex)
        tenant = tenant_of(self._owner)
        query = f"?{urlencode({TENANT: tenant})}" if tenant else ""
        return self._base_url() + reverse("a2a:file", args=[token]) + query


def _signer(owner: str) -> signing.TimestampSigner:
    # The owner is in what is signed with, and not in the link: nobody reads there whose it is.
    return signing.TimestampSigner(salt=f"a2a_app.files:{owner}")
