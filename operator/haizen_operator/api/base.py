"""What every model of a Kubernetes object shares: camelCase on the wire, frozen in Python, nothing lost."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema
from pydantic.alias_generators import to_camel

from haizen_operator.api.kubernetes_types import TYPE_MARKER

#: An object of core/v1 (a container, a volume, a probe) as it stands in the manifest: camelCase keys, unchecked.
KubernetesObject = dict[str, Any]

Int32 = Annotated[int, WithJsonSchema({"type": "integer", "format": "int32"})]
Int64 = Annotated[int, WithJsonSchema({"type": "integer", "format": "int64"})]
IntOrString = Annotated[int | str, WithJsonSchema({"x-kubernetes-int-or-string": True})]


def kubernetes_type(notation: str) -> WithJsonSchema:
    """Says which core/v1 type a passed-through field has, in the notation of ``kubernetes_types``."""
    return WithJsonSchema({TYPE_MARKER: notation})


#: An amount as Kubernetes writes it: 2, "500m", "4Gi".
Quantity = Annotated[int | str, kubernetes_type("quantity")]


def _none_to_dict(value: Any) -> Any:
    return {} if value is None else value


def _none_to_list(value: Any) -> Any:
    return [] if value is None else value


#: A map of strings that is empty rather than missing.
StringMap = Annotated[dict[str, str], BeforeValidator(_none_to_dict)]
StringList = Annotated[list[str], BeforeValidator(_none_to_list)]
ObjectList = Annotated[list[KubernetesObject], BeforeValidator(_none_to_list)]
Containers = Annotated[ObjectList, kubernetes_type("[]Container")]


class KubernetesModel(BaseModel):
    """An object of the Kubernetes API: frozen, camelCase aliases, unknown fields kept in ``model_extra``."""

    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        alias_generator=to_camel,
        populate_by_name=True,
        protected_namespaces=(),
    )

    #: Name of the core/v1 type whose fields this object carries inline (Go's ``json:",inline"``), if any.
    inlined_type: ClassVar[str | None] = None

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> Self:
        """Read a manifest (parsed YAML or an API response).

        Raises ``pydantic.ValidationError`` for a wrong type; ``api.validation.validate_manifest`` words such mistakes
        for people.
        """
        return cls.model_validate(manifest)

    def to_manifest(self) -> dict[str, Any]:
        """The manifest this object was read from: camelCase, only what was set."""
        return self.model_dump(by_alias=True, exclude_unset=True)

    def _inlined(self) -> dict[str, Any]:
        return dict(self.model_extra or {})
