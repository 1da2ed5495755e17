"""What is wrong with an image: the nouns of ``ocibuild check``."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Finding", "Severity"]


class Severity(StrEnum):
    """``ERROR`` where some tool refuses the image or makes another file system of it; ``WARNING`` for the rest."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault: ``where`` names the document or layer (``linux/amd64 layer 3 sha256:...``), ``what`` the fault."""

    severity: Severity
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.severity.value}: {self.where}: {self.what}"
