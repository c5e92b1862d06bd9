"""The operations on push notification configurations (sections 3.1.7 to 3.1.10)."""

import re
from urllib.parse import urlsplit

from a2a_app import conf, database, protocol
from a2a_app.operations.call import Call
from a2a_app.protocol import InvalidParamsError, TaskPushNotificationConfig
from a2a_app.push.targets import (
    FORBIDDEN,
    ForbiddenTargetError,
    TargetError,
    UnresolvedError,
    check_url,
    resolve,
)
from a2a_app.push.validation import confirm
from a2a_app.security import SecurityEvent, record
from a2a_app.store import webhooks
from a2a_app.store.notify import wake_deliverers
from a2a_app.store.reads.tasks import owned_task_head
from a2a_app.store.updates import Webhook

# How long each field may be. The secrets become headers, and servers in common use accept none that
# are longer.
MOST_CHARACTERS = {
    "id": 255,
    "token": 8_000,
    "authentication.scheme": 255,
    "authentication.credentials": 8_000,
}
# What a header can name as its scheme (RFC 9110, section 11.1).
_SCHEME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
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
    webhook = checked_webhook(call, params)
    # Before the name is looked up, which costs more than to see that the task is somebody else's.
    await database.run(owned_task_head, call.scope, params.task_id)
    await check_target(call, webhook)
    config = await database.run(webhooks.create, call.scope, webhook)
    if conf.current().push_snapshot:
        await wake_deliverers()
    return _with_tenant(call, config)


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


def checked_webhook(call: Call, config: TaskPushNotificationConfig, *, path: str = "") -> Webhook:
    """Check a configuration as far as that costs nothing, and return it ready to be stored.

    Args:
        call: The call that asks for it.
        config: The configuration.
        path: The path of the configuration in the parameters, with a dot at its end. Errors name
            fields by it.

    Raises:
        InvalidParamsError: A field is wrong, or the settings do not allow the host or the port.
    """
    _check_fields(config, path)
    try:
        parts = check_url(config.url)
    except TargetError as error:
        raise _refusal(error, call, config.url, path) from None
    return Webhook(
        config,
        host=parts.hostname or "",
        payload=call.push_payload,
        base_url=call.base_url(),
    )


async def check_target(call: Call, webhook: Webhook, *, path: str = "") -> None:
    """Check the addresses of a webhook's host. Each delivery does so again, and may do it alone.

    Args:
        call: The call that asks for it, by a caller who may configure the webhook.
        webhook: The webhook.
        path: As that of `checked_webhook`.

    Raises:
        InvalidParamsError: The host is none to which requests are sent, or PUSH_VALIDATION is on,
            and the receiver does not say that it wants notifications.
        UnavailableError: No resolver answered for the host, and PUSH_ALLOW_UNRESOLVED is off.
    """
    url = webhook.config.url
    try:
        if conf.current().push_validation:
            await confirm(url, owner=call.scope.owner)
        else:
            await resolve(check_url(url), owner=call.scope.owner)
    except UnresolvedError as error:
        if conf.current().push_validation or not conf.current().push_allow_unresolved:
            raise protocol.UnavailableError(f"{path}url {error}. Try again later.") from None
    except TargetError as error:
        raise _refusal(error, call, url, path) from None


def _refusal(error: TargetError, call: Call, url: str, path: str) -> InvalidParamsError:
    """Return the error for the client: one for all places to which this server does not send."""
    said = str(error)
    if isinstance(error, ForbiddenTargetError):
        caller = call.caller
        record(
            SecurityEvent.WEBHOOK_REFUSED,
            owner=call.scope.owner,
            key=caller.grant.credential if caller.grant else "",
            agent=call.agent.slug,
            reason=f"Its URL {error}.",
            host=urlsplit(url).hostname or "",  # without the path, which often is a secret
        )
        said = FORBIDDEN
    return InvalidParamsError.of(f"{path}url", said)


def _check_fields(config: TaskPushNotificationConfig, path: str) -> None:
    authentication = config.authentication or protocol.AuthenticationInfo.model_construct(scheme="")
    values = {
        "id": config.id,
        "token": config.token,
        "authentication.scheme": authentication.scheme,
        "authentication.credentials": authentication.credentials,
    }
    for name, value in values.items():
        if problem := _problem(name, value):
            raise InvalidParamsError.of(f"{path}{name}", problem)


def _problem(name: str, value: str) -> str:
    """Return what is wrong with a field; empty if nothing is."""
    if len(value) > MOST_CHARACTERS[name]:
        return f"must not be longer than {MOST_CHARACTERS[name]} characters"
    if name == "id":
        no_segment = "must fit into a URL: no slash, no control characters, and more than dots"
        return no_segment if _NO_SEGMENT.fullmatch(value) else ""
    # These become headers, and a line break would add further headers.
    if not (value.isascii() and value.isprintable()):
        return "must be printable ASCII"
    if value != value.strip():
        return "must not begin or end with a space"
    if name == "authentication.scheme" and value and not _SCHEME.fullmatch(value):
        return "must be one word, as it stands in the header Authorization"
    return ""
