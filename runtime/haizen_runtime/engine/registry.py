"""The models this process knows, by name and version."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from haizen_runtime.engine.model import Model
from haizen_runtime.protocol.errors import ModelNotFound, VersionNotFound


class ModelRegistry:
    """Names to versions to models. Used from the event loop only."""

    def __init__(self) -> None:
        self._models: dict[str, dict[str, Model]] = {}
        self._default: dict[str, Model] = {}

    def __iter__(self) -> Iterator[Model]:
        for versions in self._models.values():
            yield from versions.values()

    @property
    def names(self) -> list[str]:
        """All model names, in the order in which they came."""
        return list(self._models)

    def add(self, model: Model) -> None:
        """Register a model; the same name and version replaces the former one."""
        versions = self._models.setdefault(model.name, {})
        versions[model.version] = model
        self.choose_default(model.name)

    def remove(self, model: Model) -> None:
        """Forget a model."""
        versions = self._models.get(model.name, {})
        if versions.get(model.version) is not model:
            return
        del versions[model.version]
        if versions:
            self.choose_default(model.name)
        else:
            del self._models[model.name], self._default[model.name]

    def rename(self, model: Model, version: str) -> None:
        """Give a provisional model the version that its files have."""
        versions = self._models[model.name]
        del versions[model.version]
        model.version, model.provisional = version, False
        self.add(model)

    def choose_default(self, name: str) -> None:
        """Let a request that names no version get the highest one, before any that could not be loaded."""
        versions = self._models[name].values()
        self._default[name] = max(versions, key=lambda each: (not each.failed, _order(each.version)))

    def get(self, name: str, version: str | None = None) -> Model:
        """The model, by default its highest version. Raises ModelNotFound or VersionNotFound."""
        if version is None:
            model = self._default.get(name)
            if model is None:
                raise ModelNotFound(name)
            return model
        versions = self._models.get(name)
        if versions is None:
            raise ModelNotFound(name)
        if version not in versions:
            if self._default[name].provisional:  # nobody knows yet which versions there are: wait for it
                return self._default[name]
            raise VersionNotFound(name, version, sorted(versions, key=_order))
        return versions[version]

    def find(self, name: str, version: str) -> Model | None:
        """This very version, if it is known."""
        return self._models.get(name, {}).get(version)

    def all(self, name: str) -> list[Model]:
        """A model's versions, lowest first. Raises ModelNotFound."""
        return [self._models[name][version] for version in self.versions(name)]

    def fingerprint(self, name: str) -> Hashable:
        """What the loaded versions were loaded from. Raises ModelNotFound."""
        return tuple((model.version, model.files.fingerprint) for model in self.all(name))

    def versions(self, name: str) -> list[str]:
        """A model's versions, lowest first. Raises ModelNotFound."""
        if name not in self._models:
            raise ModelNotFound(name)
        return sorted(self._models[name], key=_order)


def _order(version: str) -> tuple[int, str]:
    return (int(version), "") if version.isdecimal() else (-1, version)
