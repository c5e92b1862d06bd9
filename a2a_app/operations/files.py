"""Files: the bytes of parts that are too large to stand in them (section 4.1.6)."""

from a2a_app import protocol
from a2a_app.files.links import TENANT, TOKEN, ExpiredError, file_of_token
from a2a_app.files.rows import OpenedFile, open_file
from a2a_app.models.owners import owner_in
from a2a_app.operations.call import Caller
from a2a_app.protocol import InvalidParamsError
from a2a_app.store.refusals import UnknownFileError

__all__ = [
    "TENANT",
    "TOKEN",
    "LinkExpiredError",
    "LinkNotFoundError",
    "OpenedFile",
    "get_file",
    "no_such_file",
]


class LinkNotFoundError(protocol.InvalidRequestError):
    """There is no such file, or it is not yours."""

    http_status, grpc_status = 404, "NOT_FOUND"


class LinkExpiredError(protocol.InvalidRequestError):
    """The link is too old: get the task again, which has a new one."""

    http_status, grpc_status = 403, "PERMISSION_DENIED"


async def get_file(caller: Caller, token: str, tenant: str = "") -> OpenedFile:
    """Open the file that a link leads to, for the owner it was made for.

    Args:
        caller: Who asks.
        token: What the link ends with.
        tenant: The key of the tenant that the link names; nobody has checked it.

    Raises:
        LinkExpiredError: It was good once, which only the owner gets to know.
        LinkNotFoundError: There is no such file, or it is another's.
    """
    try:
        owner = owner_in(tenant, caller.owner)
        return await open_file(owner, file_of_token(token, owner))
    except ExpiredError:
        raise LinkExpiredError from None
    except (LookupError, ValueError):
        raise LinkNotFoundError from None


def no_such_file(unknown: UnknownFileError) -> InvalidParamsError:
    """Give the error of a client's message that names a file which is not there, or not theirs."""
    field = f"message.parts[{unknown.part_index}].url"
    return InvalidParamsError.of(field, "names a file that there is not, or is not yours")
