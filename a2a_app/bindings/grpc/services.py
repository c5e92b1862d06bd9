"""The services of gRPC, one for each version: the table of operations, by the proto's names."""

from collections.abc import Iterable
from dataclasses import dataclass

import grpc
from a2a.compat.v0_3 import a2a_v0_3_pb2
from a2a.types import a2a_pb2
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message_factory import GetMessageClass

from a2a_app import conf, protocol
from a2a_app.bindings.dialects import METHODS, Method
from a2a_app.bindings.grpc.calls import OpenCalls
from a2a_app.bindings.grpc.exchange import Rpc
from a2a_app.bindings.v03 import GRPC_METHODS


@dataclass(frozen=True, slots=True)
class Service:
    """The service of a version, and what its methods are here."""

    version: str
    file: FileDescriptor
    """The file of the proto that has it, of the official SDK's generated types."""
    methods: dict[str, Method]

    @property
    def name(self) -> str:
        """The full name of the service."""
        name: str = self.file.services_by_name["A2AService"].full_name
        return name

    def rpcs(self) -> Iterable[Rpc]:
        """Return the methods of the service, each with its messages."""
        for described in self.file.services_by_name["A2AService"].methods:
            yield Rpc(
                path=f"/{self.name}/{described.name}",
                method=self.methods[described.name],
                asked=GetMessageClass(described.input_type),
                answered=GetMessageClass(described.output_type),
            )


_SERVICES = (
    Service(protocol.VERSION, a2a_pb2.DESCRIPTOR, METHODS),
    Service(protocol.VERSION_03, a2a_v0_3_pb2.DESCRIPTOR, GRPC_METHODS),
)


def served() -> list[Service]:
    """Return the services of the versions that the settings say."""
    return [each for each in _SERVICES if each.version in conf.current().protocol_versions]


def handler_of(service: Service, calls: OpenCalls) -> grpc.GenericRpcHandler:
    """Return what answers all calls of a service."""
    handlers = {rpc.path.rpartition("/")[2]: calls.handler(rpc) for rpc in service.rpcs()}
    return grpc.method_handlers_generic_handler(service.name, handlers)
