"""The base of every object of the protocol, and the rules of ProtoJSON (sections 5.5 to 5.7)."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from a2a_app.protocol.errors import InvalidParamsError
from a2a_app.protocol.scalars import Text

# pydantic's own __setattr__ would look for a field of the name.
_set_attribute = object.__setattr__


class Model(BaseModel):
    """An object of the data model: snake_case in Python, camelCase on the wire.

    When an object is written, a field that holds its default is left out; a required field never
    is. When one is read, an unknown field is ignored, and null means "not given".
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        allow_inf_nan=False,
        serialize_by_alias=True,
    )

    null_is_a_value: ClassVar[frozenset[str]] = frozenset()
    """Fields, by their names on the wire, that may be null. For others null means "not given"."""

    wire_names: ClassVar[dict[str, str]] = {}
    """The name on the wire of each field, by its name in Python."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Collect the names on the wire of the fields."""
        super().__pydantic_init_subclass__(**kwargs)
        cls.wire_names = {name: to_camel(name) for name in cls.model_fields}

    @model_validator(mode="before")
    @classmethod
    def _as_on_the_wire(cls, given: Any) -> Any:
        # Fields are spelt as on the wire before they are checked, so that an error names them as
        # the client knows them. Keys of a map stay as they came.
        if not isinstance(given, dict):
            return given
        return {
            cls.wire_names.get(key, key): value
            for key, value in given.items()
            if value is not None or key in cls.null_is_a_value
        }

    def to_json(self) -> str:
        """Return the object as compact JSON text."""
        return self.model_dump_json(exclude_defaults=True)

    def to_dict(self) -> dict[str, Any]:
        """Return the object as JSON values."""
        return self.model_dump(mode="json", exclude_defaults=True)

    @classmethod
    def from_dict(cls, value: object, limits: Mapping[str, int] | None = None) -> Self:
        """Make an object from JSON values.

        Args:
            value: The values.
            limits: How many elements some arrays may have, by the names that `at_most` has.

        Raises:
            InvalidParamsError: The values are wrong. It names each bad field.
        """
        try:
            return cls.model_validate(value, context=limits)
        except ValidationError as error:
            raise InvalidParamsError.from_validation(error) from None

    @classmethod
    def unchecked(cls, **fields: Any) -> Self:
        """Make an object of values that are known to be good, without checking them.

        pydantic's model_construct does the same, but it looks for aliases and defaults, and so
        takes longer than a check of the values would.

        Args:
            **fields: All fields of the model, by their names in Python.
        """
        assert fields.keys() == cls.wire_names.keys(), f"{cls.__name__} has other fields"
        made = cls.__new__(cls)
        _set_attribute(made, "__dict__", fields)
        _set_attribute(made, "__pydantic_fields_set__", set(fields))
        _set_attribute(made, "__pydantic_extra__", None)
        _set_attribute(made, "__pydantic_private__", None)
        return made


class Params(Model):
    """The parameters of an operation. Each takes the tenant that the agent's interface names."""

    tenant: Text = ""


class OneOf(Model):
    """An object of which exactly one member is given."""

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        members = type(self).model_fields
        given = [name for name in members if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"must have exactly one of {', '.join(members)}")
        return self

    @classmethod
    def of(cls, **member: Any) -> Self:
        """Make an object from its one member, without checking it."""
        return cls.unchecked(**(dict.fromkeys(cls.wire_names) | member))
