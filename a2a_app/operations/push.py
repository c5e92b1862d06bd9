"""The operations on push notification configurations (sections 3.1.7 to 3.1.10)."""

import re
from urllib.parse import SplitResult

from a2a_app import conf, database, protocol
from a2a_app.operations.call import Call
from a2a_app.protocol import InvalidParamsError, TaskPushNotificationConfig
from a2a_app.push.targets import TargetError, UnresolvedError, check_url, resolve
from a2a_app.store import webhooks
from a2a_app.store.updates import Webhook

MAX_CHARACTERS = 255
# An id is a segment of a URL in HTTP+JSON: it can have no slash there, and servers and proxies
# resolve dots and refuse control characters.
_NO_SEGMENT = re.compile(r"\.{1,2}|.*[/\x00-\x1f\x7f-\x9f].*", re.DOTALL)


async def create_push_config(
    call: Call, params: TaskPushNotificationConfig
) -> TaskPushNotificationConfig:
    """Send a task's events to a webhook from now on.

    A configuration replaces the one that the task has under the same id.
    """
    if not params.task_id:
        raise InvalidParamsError.of("taskId", "is required")
    webhook = await checked_webhook(call, params)
    return _with_tenant(call, await database.run(webhooks.create, call.scope, webhook))


async def get_push_config(
    call: Call, params: protocol.GetTaskPushNotificationConfigRequest
) -> TaskPushNotificationConfig:
    """Return a configuration, without its secrets."""
    config = await database.read(webhooks.get, call.scope, params.task_id, params.id)
    return _with_tenant(call, config)


async def list_push_configs(
    call: Call, params: protocol.ListTaskPushNotificationConfigsRequest
) -> protocol.ListTaskPushNotificationConfigsResponse:
    """Return a page of a task's configurations, without their secrets."""
    page = await database.read(webhooks.page, call.scope, params)
    return page.model_copy(
        update={"configs": [_with_tenant(call, config) for config in page.configs]}
    )


async def delete_push_config(
    call: Call, params: protocol.DeleteTaskPushNotificationConfigRequest
) -> protocol.Model:
    """Send nothing more to a webhook; one that is deleted already may be deleted again."""
    await database.run(webhooks.delete, call.scope, params.task_id, params.id)
    return protocol.Model()


def _with_tenant(call: Call, config: TaskPushNotificationConfig) -> TaskPushNotificationConfig:
    """Name the tenant as the client did, which has the name from the card (section 4.3.1)."""
    return config.model_copy(update={"tenant": call.tenant})


async def checked_webhook(
    call: Call, config: TaskPushNotificationConfig, *, path: str = ""
) -> Webhook:
    """Check a configuration and the host of its URL, and return it ready to be stored.

    Args:
        call: The call that asks for it.
        config: The configuration.
        path: The path of the configuration in the parameters, with a dot at its end. Errors name
            fields by it.

    Raises:
        InvalidParamsError: A field is wrong, or requests to the host are not allowed.
        UnavailableError: No resolver answered for the host, and PUSH_ALLOW_UNRESOLVED is off.
    """
    _check_fields(config, path)
    try:
        parts = check_url(config.url)
        await _resolve(parts, f"{path}url")
    except TargetError as error:
        raise InvalidParamsError.of(f"{path}url", str(error)) from None
    return Webhook(
        config,
        host=parts.hostname or "",
        payload=call.push_payload,
        base_url=call.base_url(),
    )


async def _resolve(parts: SplitResult, field: str) -> None:
    """Check the host's addresses. Each delivery does so again, and may do it alone."""
    try:
        await resolve(parts)
    except UnresolvedError as error:
        if not conf.current().push_allow_unresolved:
            raise protocol.UnavailableError(f"{field} {error}. Try again later.") from None


def _check_fields(config: TaskPushNotificationConfig, path: str) -> None:
    authentication = config.authentication or protocol.AuthenticationInfo.model_construct(scheme="")
    values = {
        "id": config.id,
        "token": config.token,
        "authentication.scheme": authentication.scheme,
        "authentication.credentials": authentication.credentials,
    }
    for name, value in values.items():
        # These become headers, and a line break would add further headers.
        if name != "id" and not (value.isascii() and value.isprintable()):
            raise InvalidParamsError.of(f"{path}{name}", "must be printable ASCII")
        if name != "id" and value != value.strip():
            raise InvalidParamsError.of(f"{path}{name}", "must not begin or end with a space")
    if _NO_SEGMENT.fullmatch(config.id):
        problem = "must fit into a URL: no slash, no control characters, and more than dots"
        raise InvalidParamsError.of(f"{path}id", problem)
    for name in ("id", "authentication.scheme"):
        if len(values[name]) > MAX_CHARACTERS:
            raise InvalidParamsError.of(
                f"{path}{name}", f"must not be longer than {MAX_CHARACTERS}"
            )
