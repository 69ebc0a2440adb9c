"""What is wrong with a manifest, said the same way everywhere."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One mistake: the path of the field as the API server writes it, and what was expected there."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


def child(path: str, name: str) -> str:
    """The path of a field below another."""
    return f"{path}.{name}" if path else name


def element(path: str, key: int | str) -> str:
    """The path of an element of a list."""
    return f"{path}[{key}]"
