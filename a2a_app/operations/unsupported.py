"""Operations whose capability no agent has here: the errors that section 3.3.4 asks for."""

from typing import NoReturn

from a2a_app import protocol
from a2a_app.operations.call import Call


async def push_notification_config(call: Call, params: protocol.Model) -> NoReturn:
    """Refuse every operation on push notification configurations."""
    raise protocol.PushNotificationNotSupportedError
