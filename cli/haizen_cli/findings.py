"""What is wrong with a manifest, and where: the rows of `haizen validate`."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Finding:
    """One problem of one object.

    Attributes:
        file: The file's name as the user gave it.
        line: The line of the field, or of its nearest parent that exists (from 1).
        subject: The object, such as ``InferenceService digits``.
        field: The field's path, such as ``spec.predictor.canaryTrafficPercent``; empty when it is about the whole.
        message: What is wrong and what would be right.
    """

    file: str
    line: int
    subject: str
    field: str
    message: str

    @property
    def where(self) -> str:
        """``file:line``."""
        return f"{self.file}:{self.line}" if self.line else self.file

    @property
    def described(self) -> str:
        """``field: message``."""
        return f"{self.field}: {self.message}" if self.field else self.message

    def __str__(self) -> str:
        return f"{self.where}: {self.described}"
