"""The operations on push notification configurations (sections 3.1.7 to 3.1.10)."""

from a2a_app import database, protocol
from a2a_app.operations.call import Call
from a2a_app.protocol import InvalidParamsError, TaskPushNotificationConfig
from a2a_app.push.targets import TargetError, check_url, resolve
from a2a_app.store import webhooks
from a2a_app.store.updates import Webhook

MAX_ID = 255


async def create_push_config(
    call: Call, params: TaskPushNotificationConfig
) -> TaskPushNotificationConfig:
    """Have a task's events sent to a webhook from now on.

    A configuration with the id of one that the task has takes its place.
    """
    if not params.task_id:
        raise InvalidParamsError.of("taskId", "is required")
    webhook = await checked_webhook(call, params)
    return _of_tenant(call, await database.run(webhooks.create, call.scope, webhook))


async def get_push_config(
    call: Call, params: protocol.GetTaskPushNotificationConfigRequest
) -> TaskPushNotificationConfig:
    """Give a configuration, without its secrets."""
    found = await database.run(webhooks.get, call.scope, params.task_id, params.id)
    return _of_tenant(call, found)


async def list_push_configs(
    call: Call, params: protocol.ListTaskPushNotificationConfigsRequest
) -> protocol.ListTaskPushNotificationConfigsResponse:
    """Give a page of a task's configurations, without their secrets."""
    found = await database.run(webhooks.page, call.scope, params)
    return found.model_copy(
        update={"configs": [_of_tenant(call, config) for config in found.configs]}
    )


async def delete_push_config(
    call: Call, params: protocol.DeleteTaskPushNotificationConfigRequest
) -> protocol.Model:
    """Send nothing more to a webhook; to delete what is not there changes nothing."""
    await database.run(webhooks.delete, call.scope, params.task_id, params.id)
    return protocol.Model()


def _of_tenant(call: Call, config: TaskPushNotificationConfig) -> TaskPushNotificationConfig:
    """Name the tenant as the client does, which has it from the card (section 4.3.1)."""
    return config.model_copy(update={"tenant": call.tenant})


async def checked_webhook(
    call: Call, config: TaskPushNotificationConfig, *, path: str = ""
) -> Webhook:
    """Check a configuration, and that its host may be sent to.

    Args:
        call: Who wants it.
        config: What is wanted.
        path: Where in the parameters it stands, with a dot at its end, to name a bad field.

    Raises InvalidParamsError, naming the field.
    """
    authentication = config.authentication or protocol.AuthenticationInfo.model_construct(scheme="")
    values = {
        "id": config.id,
        "token": config.token,
        "authentication.scheme": authentication.scheme,
        "authentication.credentials": authentication.credentials,
    }
    for name, value in values.items():
        # They become headers: a line break would make more headers of one.
        if name != "id" and not (value.isascii() and value.isprintable()):
            raise InvalidParamsError.of(f"{path}{name}", "must be printable ASCII")
    for name in ("id", "authentication.scheme"):
        if len(values[name]) > MAX_ID:
            raise InvalidParamsError.of(f"{path}{name}", f"must not be longer than {MAX_ID}")
    try:
        parts = check_url(config.url)
        await resolve(parts)
    except TargetError as error:
        raise InvalidParamsError.of(f"{path}url", str(error)) from None
    return Webhook(
        config,
        host=parts.hostname or "",
        payload=call.push_payload,
        base_url=call.base_url(),
    )
