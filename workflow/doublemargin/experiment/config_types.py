"""The types that keys of ``config.yaml`` have: names, radii, seeds, and sections of keys. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import GenerateJsonSchema

from dmcore.eps import Eps
from dmcore.errors import UserError, nearest
from dmcore.registries import architecture, attack, certifier, regularizer
from dmcore.registry import Registry
from doublemargin.experiment.registries import figure, reader


def check_with(check: Callable[..., None], *args: Any) -> None:
    """Calls a check of dmcore's; what it refuses, pydantic reports with the place in the config."""
    try:
        check(*args)
    except UserError as error:
        raise ValueError(str(error)) from error


def _name_in(registry: Registry[Any]) -> Any:
    """The type of a text that is the name of something registered."""

    def known(name: str) -> str:
        check_with(registry.check, name)
        return name

    return Annotated[str, AfterValidator(known), WithJsonSchema({"type": "string", "enum": registry.names()})]


def _radius(eps: Any) -> Any:
    check_with(Eps.parse, eps)
    return eps


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _distinct(numbers: list[Any]) -> list[Any]:
    seen = set()
    for number in numbers:
        value = Eps.parse(number).value
        if value in seen:
            raise ValueError(f"{number} is in the list twice")
        seen.add(value)
    return numbers


Radius = Annotated[
    Any,
    AfterValidator(_radius),
    WithJsonSchema({"examples": [0.3, "8/255"], "anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}]}),
]
Radii = Annotated[list[Radius], Field(min_length=1), AfterValidator(_distinct)]
RadiusOrRadii = Annotated[Radii, BeforeValidator(_listed, json_schema_input_type=Radius | Radii)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Seeds = Annotated[list[Seed], Field(min_length=1), AfterValidator(_distinct)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+$")]
MethodName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+(-[a-zA-Z0-9_.-]+)?$")]
ExhibitName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Url = Annotated[str, StringConstraints(pattern=r"^https?://")]
Text = Annotated[str, StringConstraints(min_length=1)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Md5 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Norm = Literal["linf", "l2", "l1", "l0"]
ArchitectureName = _name_in(architecture)
AttackName = _name_in(attack)
CertifierName = _name_in(certifier)
FigureName = _name_in(figure)
ReaderName = _name_in(reader)
RegularizerName = _name_in(regularizer)


class Section(BaseModel):
    """Keys with values. Closed on purpose: a misspelt key cannot pass, nor one without a value."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_and_empty(cls, given: Any) -> Any:
        for key, value in given.items() if isinstance(given, dict) else ():
            if key not in cls.model_fields and cls.model_config["extra"] == "forbid":
                raise ValueError(f"unknown key '{key}': {nearest(str(key), cls.model_fields)}")
            if value is None:
                raise ValueError(f"nothing is given for '{key}'")
        return given


class KeysSchema(GenerateJsonSchema):
    """Pydantic's JSON schema without what says nothing: titles, and null where a key may be left out."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def nullable_schema(self, schema: Any) -> dict[str, Any]:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> dict[str, Any]:
        if schema.get("default") is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)
