"""The base of every object of the protocol, and the rules of ProtoJSON (sections 5.5 to 5.7)."""

from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from a2a_app.protocol.errors import InvalidParamsError
from a2a_app.protocol.scalars import Text

# Past pydantic's own, which looks for a field of the name.
_set = object.__setattr__


class Model(BaseModel):
    """An object of the data model: snake_case in Python, camelCase on the wire.

    A field that holds its default is left out, a required one never is, one that nobody knows is
    ignored, and null means "not given".
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        allow_inf_nan=False,
        serialize_by_alias=True,
    )

    null_is_a_value: ClassVar[frozenset[str]] = frozenset()
    """Fields, as on the wire, for which null is a value of its own."""

    wire_names: ClassVar[dict[str, str]] = {}
    """The name on the wire of each field."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Learn the names of the fields."""
        super().__pydantic_init_subclass__(**kwargs)
        cls.wire_names = {name: to_camel(name) for name in cls.model_fields}

    @model_validator(mode="before")
    @classmethod
    def _as_on_the_wire(cls, given: Any) -> Any:
        # One spelling inside: a bad field is named as on the wire, a key of a map as it came.
        if not isinstance(given, dict):
            return given
        return {
            cls.wire_names.get(key, key): value
            for key, value in given.items()
            if value is not None or key in cls.null_is_a_value
        }

    def to_json(self) -> str:
        """Give the object as compact JSON text."""
        return self.model_dump_json(exclude_defaults=True)

    def to_dict(self) -> dict[str, Any]:
        """Give the object as JSON values."""
        return self.model_dump(mode="json", exclude_defaults=True)

    @classmethod
    def from_dict(cls, value: object) -> Self:
        """Read the object from JSON values; raises InvalidParamsError naming each bad field."""
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise InvalidParamsError.from_validation(error) from None

    @classmethod
    def unchecked(cls, **fields: Any) -> Self:
        """Make an object of values that are known to be good: all its fields, by their own names.

        It is pydantic's model_construct, which takes longer than a check of the values: it looks
        for aliases and defaults.
        """
        assert fields.keys() == cls.wire_names.keys(), f"{cls.__name__} has other fields"
        made = cls.__new__(cls)
        _set(made, "__dict__", fields)
        _set(made, "__pydantic_fields_set__", set(fields))
        _set(made, "__pydantic_extra__", None)
        _set(made, "__pydantic_private__", None)
        return made


class Params(Model):
    """What an operation takes: its tenant, as the agent's interface has it, and more."""

    tenant: Text = ""
