"""The messages of the draft of 1.1: those of 1.0, with the fields that the branch dev-1.1 adds.

The official SDK has no types of it yet. The service has the same name and package, and each field
a number of its own, so a client of 1.0 does not notice. Once the SDK has them, this file goes.
"""

from functools import cache

from a2a.types import a2a_pb2
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool

# The message, the field, its number, and whether a message tells 0 from nothing.
_ADDED = (
    ("SendMessageConfiguration", "if_generation_match", 5, True),
    ("Task", "generation", 7, False),
    ("TaskStatusUpdateEvent", "generation", 5, False),
    ("TaskArtifactUpdateEvent", "generation", 7, False),
    ("GetTaskRequest", "current_generation", 4, True),
)


@cache
def drafted_file() -> FileDescriptor:
    """Return the file of the proto as the draft has it."""
    # In a pool of its own, since the default one has these names already.
    pool = DescriptorPool()
    for each in a2a_pb2.DESCRIPTOR.dependencies:
        _add_with_dependencies(pool, each)
    drafted = _copy_of(a2a_pb2.DESCRIPTOR)
    messages = {each.name: each for each in drafted.message_type}
    for name, field, number, is_optional in _ADDED:
        _add_field(messages[name], field, number, is_optional=is_optional)
    pool.Add(drafted)
    return pool.FindFileByName(drafted.name)


def _add_field(message: DescriptorProto, name: str, number: int, *, is_optional: bool) -> None:
    field = message.field.add(
        name=name,
        number=number,
        type=FieldDescriptorProto.TYPE_INT64,
        label=FieldDescriptorProto.LABEL_OPTIONAL,
    )
    if is_optional:
        field.proto3_optional = True
        field.oneof_index = len(message.oneof_decl)
        message.oneof_decl.add(name=f"_{name}")


def _add_with_dependencies(pool: DescriptorPool, file: FileDescriptor) -> None:
    for each in file.dependencies:
        _add_with_dependencies(pool, each)
    pool.Add(_copy_of(file))


def _copy_of(file: FileDescriptor) -> FileDescriptorProto:
    copy = FileDescriptorProto()
    file.CopyToProto(copy)
    return copy
