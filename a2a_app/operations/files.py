"""Files: the bytes of parts that are too large to be sent in them (section 4.1.6)."""

from a2a_app import protocol
from a2a_app.agents import AgentNotFoundError, registry
from a2a_app.files.links import TENANT, TOKEN_PATTERN, ExpiredError, file_id_in_token
from a2a_app.files.rows import OpenedFile, open_file
from a2a_app.models.owners import owner_in
from a2a_app.operations.call import Caller
from a2a_app.protocol import InvalidParamsError
from a2a_app.store.refusals import UnknownFileError

__all__ = [
    "TENANT",
    "TOKEN_PATTERN",
    "LinkExpiredError",
    "LinkNotFoundError",
    "OpenedFile",
    "get_file",
    "no_such_file",
]


SCOPE = "read"


class LinkNotFoundError(protocol.InvalidRequestError):
    """There is no such file, or it is not yours."""

    http_status, grpc_status = 404, "NOT_FOUND"


class LinkExpiredError(protocol.InvalidRequestError):
    """The link is too old: get the task again, which has a new one."""

    http_status, grpc_status = 403, "PERMISSION_DENIED"


async def get_file(caller: Caller, token: str, tenant: str = "") -> OpenedFile:
    """Open the file of a link, which must have been made for the caller.

    Args:
        caller: The caller, who must be the owner of the file.
        token: The last segment of the link.
        tenant: The key of the tenant that the link names. It need not be checked before, because
            the token is valid for one owner only.

    Raises:
        LinkExpiredError: The link is too old. Only the owner is told so.
        LinkNotFoundError: There is no such file, or it is another owner's.
        PermissionDeniedError: The caller may not read what it has with the agent.
    """
    try:
        if caller.grant and not caller.grant.is_for_tenant(tenant):
            raise LinkNotFoundError
        owner = owner_in(tenant, caller.owner)
        opened = await open_file(owner, file_id_in_token(token, owner))
    except ExpiredError:
        raise LinkExpiredError from None
    except (LookupError, ValueError):
        raise LinkNotFoundError from None
    try:
        await _check(caller, opened.agent)
    except BaseException:
        opened.close()
        raise
    return opened


async def _check(caller: Caller, slug: str) -> None:
    """Check that a caller may read what it has with an agent."""
    try:
        agent = registry.get(slug)
    except AgentNotFoundError:  # the project has given it up, and its files are there still
        caller.check_scope(SCOPE)
    else:
        await caller.check(agent, SCOPE, "GetTask")


def no_such_file(unknown: UnknownFileError) -> InvalidParamsError:
    """Return the error for a message that names a file which is missing or another owner's."""
    field = f"message.parts[{unknown.part_index}].url"
    return InvalidParamsError.of(field, "names a file that there is not, or is not yours")
