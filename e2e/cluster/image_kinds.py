"""The kinds of the runtime's image: what of haizen's extras and of Debian's packages is in each."""

from dataclasses import dataclass

import yaml

from e2e.cluster import settings

SMALL = "small"
"""The kind whose tag has no suffix."""


@dataclass(frozen=True)
class Kind:
    """One kind of image."""

    name: str
    extras: tuple[str, ...]
    packages: tuple[str, ...]

    @property
    def build_arguments(self) -> dict[str, str]:
        """What images/runtime.Dockerfile is told."""
        return {"EXTRAS": " ".join(self.extras), "PACKAGES": " ".join(self.packages)}

    @property
    def image(self) -> str:
        """The image's name on this machine."""
        return settings.RUNTIME_IMAGE if self.name == SMALL else f"{settings.RUNTIME_IMAGE}-{self.name}"


def kinds() -> dict[str, Kind]:
    """All kinds by name, from images/kinds.yaml."""
    table = yaml.safe_load((settings.REPOSITORY / "images" / "kinds.yaml").read_text())
    return {name: Kind(name, tuple(entry["extras"]), tuple(entry.get("packages", ()))) for name, entry in table.items()}
