"""Which of a model's versions are served: TF Serving's and Triton's version policies. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from haizen_runtime.protocol.errors import InvalidConfiguration


@dataclass(frozen=True, slots=True)
class VersionPolicy:
    """The `count` highest versions, all of them, or the ones named."""

    count: int | None = 1
    """How many of the highest; None: every one."""
    specific: tuple[str, ...] = ()
    """Named versions; not empty: only these."""

    @classmethod
    def parse(cls, text: str) -> VersionPolicy:
        """From `latest`, `latest:N`, `all` or `specific:1,3`. Raises InvalidConfiguration."""
        kind, colon, rest = text.strip().lower().partition(":")
        if kind == "all" and not colon:
            return cls(None)
        if kind == "latest":
            count = rest.strip() if colon else "1"
            if count.isdecimal() and int(count) >= 1:
                return cls(int(count))
        if kind == "specific":
            names = tuple(name.strip() for name in rest.split(","))
            if all(is_version(name) for name in names):
                return cls(None, names)
        raise InvalidConfiguration(
            f'--version_policy="{text[:80]}" must be latest:N, all, or specific: with numbers behind it (specific:1,3).'
        )

    def choose(self, versions: Iterable[str]) -> list[str]:
        """The versions to serve, lowest first. Named ones that are not there are left out."""
        known = sorted((version for version in versions if is_version(version)), key=int)
        if self.specific:
            return [version for version in known if version in self.specific]
        return known if self.count is None else known[-self.count :]


def is_version(name: str) -> bool:
    """Whether a directory's name is a version: a whole number, written without leading zeros (Triton's rule)."""
    return name.isascii() and name.isdecimal() and (name == "0" or name[0] != "0")
