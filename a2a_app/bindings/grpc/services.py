"""The services of gRPC: the table of operations, by the names and messages of each version."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import grpc
from a2a.compat.v0_3 import a2a_v0_3_pb2
from a2a.types import a2a_pb2
from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from a2a_app import conf, protocol
from a2a_app.bindings.dialects import METHODS, Method
from a2a_app.bindings.grpc.calls import OpenCalls
from a2a_app.bindings.grpc.drafted import drafted_file
from a2a_app.bindings.grpc.exchange import Form, Rpc
from a2a_app.bindings.v03 import GRPC_METHODS
from a2a_app.bindings.v11 import METHODS_11


@dataclass(frozen=True, slots=True)
class _Version:
    """A version, and what the methods of its service are here."""

    version: str
    file: Callable[[], FileDescriptor]
    """Returns the file of the proto that has the service, of the official SDK's types."""
    methods: dict[str, Method]

    @property
    def described(self) -> ServiceDescriptor:
        """Its service, as the proto describes it."""
        found: ServiceDescriptor = self.file().services_by_name["A2AService"]
        return found

    def form(self, name: str) -> Form:
        """Return a method, with its messages."""
        described = self.described.methods_by_name[name]
        asked, answered = described.input_type, described.output_type
        return Form(self.methods[name], GetMessageClass(asked), GetMessageClass(answered))


# The first one of a service is that of calls that name none.
_VERSIONS = (
    _Version(protocol.VERSION, lambda: a2a_pb2.DESCRIPTOR, METHODS),
    _Version(protocol.VERSION_11, drafted_file, METHODS_11),
    _Version(protocol.VERSION_03, lambda: a2a_v0_3_pb2.DESCRIPTOR, GRPC_METHODS),
)


@dataclass(frozen=True, slots=True)
class Service:
    """A service, in each version that has it by its name and is served."""

    name: str
    versions: Sequence[_Version]

    def rpcs(self) -> Iterator[Rpc]:
        """Yield its methods."""
        for each in self.versions[0].described.methods:
            forms = {version.version: version.form(each.name) for version in self.versions}
            yield Rpc(f"/{self.name}/{each.name}", forms)


def served() -> list[Service]:
    """Return the services of the versions that the settings say."""
    found: dict[str, list[_Version]] = {}
    for version in _VERSIONS:
        if version.version in conf.current().protocol_versions:
            found.setdefault(version.described.full_name, []).append(version)
    return [Service(name, versions) for name, versions in found.items()]


def handler_of(service: Service, calls: OpenCalls) -> grpc.GenericRpcHandler:
    """Return what answers all calls of a service."""
    handlers = {rpc.path.rpartition("/")[2]: calls.handler(rpc) for rpc in service.rpcs()}
    return grpc.method_handlers_generic_handler(service.name, handlers)
