"""What a token allows (distribution, "Token Scope"): ``repository:team/image:pull,push``."""

from dataclasses import dataclass

__all__ = ["Scope"]


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """Actions on one repository of a registry; ``actions`` is sorted text such as ``pull`` or ``pull,push``."""

    repository: str
    actions: str = "pull"

    @classmethod
    def pull(cls, repository: str) -> "Scope":
        """Reading."""
        return cls(repository)

    @classmethod
    def push(cls, repository: str) -> "Scope":
        """Reading and writing: asked for at once, since a push begins by looking for what is there."""
        return cls(repository, "pull,push")

    @classmethod
    def delete(cls, repository: str) -> "Scope":
        """Removing manifests; the action's name is the one that Docker's own registry asks for."""
        return cls(repository, "delete,pull")

    def __str__(self) -> str:
        return f"repository:{self.repository}:{self.actions}"
