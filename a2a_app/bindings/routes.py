"""The URLs of HTTP+JSON, which the google.api.http annotations of the proto define."""

import re
from dataclasses import dataclass, replace

from django.urls import register_converter
from django.urls.converters import StringConverter

from a2a_app.bindings.dialects import METHODS, Method
from a2a_app.bindings.v03 import PLAIN_METHODS

# Segments that may follow an agent's URL. No tenant can have one of these names.
RESERVED = (".well-known", "tasks", "v1")


class TenantConverter(StringConverter):
    """A tenant in a path, which is one segment and hides no other route."""

    regex = rf"(?!(?:{'|'.join(RESERVED).replace('.', '[.]')})/)[^/]+"


register_converter(TenantConverter, "a2a_tenant")

TENANT = "/{a2a_tenant:tenant}"


@dataclass(frozen=True, slots=True)
class Route:
    """One URL of a method, relative to the URL of an agent."""

    method: Method
    verb: str
    path: str
    """A template with fields of the operation's parameters, such as `/tasks/{id}`."""

    @property
    def version(self) -> str:
        """The version of the protocol that the route belongs to."""
        return self.method.dialect.version

    @property
    def fields(self) -> list[str]:
        """The names of the template's fields."""
        return re.findall(r"{(?:\w+:)?(\w+)}", self.path)


def _route(name: str, verb: str, path: str) -> Route:
    return Route(METHODS[name], verb, path)


# In the order in which they are tried, so that a verb after a colon is not taken for part of an id.
ROUTES = (
    _route("SendMessage", "POST", "/message:send"),
    _route("SendStreamingMessage", "POST", "/message:stream"),
    _route("CancelTask", "POST", "/tasks/{id}:cancel"),
    # Section 11.3.2 has POST, and the proto has GET.
    _route("SubscribeToTask", "POST", "/tasks/{id}:subscribe"),
    _route("SubscribeToTask", "GET", "/tasks/{id}:subscribe"),
    _route("GetTask", "GET", "/tasks/{id}"),
    _route("ListTasks", "GET", "/tasks"),
    _route("CreateTaskPushNotificationConfig", "POST", "/tasks/{task_id}/pushNotificationConfigs"),
    _route("ListTaskPushNotificationConfigs", "GET", "/tasks/{task_id}/pushNotificationConfigs"),
    _route("GetTaskPushNotificationConfig", "GET", "/tasks/{task_id}/pushNotificationConfigs/{id}"),
    _route(
        "DeleteTaskPushNotificationConfig",
        "DELETE",
        "/tasks/{task_id}/pushNotificationConfigs/{id}",
    ),
    _route("GetExtendedAgentCard", "GET", "/extendedAgentCard"),
)

# Tried after those, so that a tenant hides none of them.
TENANT_ROUTES = tuple(replace(route, path=TENANT + route.path) for route in ROUTES)

# Those of 0.3 (section 3.5.6 of 0.3) have one segment more, and one of them has another name.
_PATHS_03 = {route.path: f"/v1{route.path}" for route in ROUTES} | {
    "/extendedAgentCard": "/v1/card"
}
ROUTES_03 = tuple(
    Route(PLAIN_METHODS[route.method.name], route.verb, _PATHS_03[route.path])
    for route in ROUTES
    if route.method.name in PLAIN_METHODS
)
