"""Where the configuration files of a repository are, and reading them."""

from collections.abc import Callable
from dataclasses import dataclass

from ocibuild.core.errors import RepositoryError
from ocibuild.spec.text import decode_text

__all__ = ["CONFIG_FOLDERS", "ConfigFiles"]

CONFIG_FOLDERS = ("binder", ".binder")
"""Folders that are looked into instead of the top of the repository, where one is there."""


@dataclass(frozen=True, slots=True)
class ConfigFiles:
    """The configuration files of a repository.

    Source: repo2docker's ``BuildPack.binder_dir``. Exactly one folder counts: ``binder`` or ``.binder`` where it is
    there, even if it is empty, and else the top. ``folder`` is ``""`` for the top. ``reader`` gives the bytes of a file
    of the repository, links inside it followed, and None where there is none.
    """

    reader: Callable[[str], bytes | None]
    folder: str = ""

    @classmethod
    def find(cls, reader: Callable[[str], bytes | None], *, is_folder: Callable[[str], bool]) -> "ConfigFiles":
        """Choose the folder; a RepositoryError where both are there."""
        folders = [name for name in CONFIG_FOLDERS if is_folder(name)]
        if len(folders) > 1:
            raise RepositoryError(
                "the folders binder and .binder are both there, and only one may be",
                file="binder",
                hint="remove one of them",
            )
        return cls(reader, folders[0] if folders else "")

    @property
    def is_top(self) -> bool:
        """Whether the top of the repository is looked into: only there a package of the repository counts."""
        return not self.folder

    def path(self, name: str) -> str:
        """The path of the configuration file with this name, whether it is there or not."""
        return f"{self.folder}/{name}" if self.folder else name

    def has(self, name: str) -> bool:
        """Whether there is a file with this name."""
        return self.reader(self.path(name)) is not None

    def found(self, *names: str) -> str | None:
        """The path of the first of these names that is there."""
        return next((self.path(name) for name in names if self.has(name)), None)

    def text(self, path: str) -> str | None:
        """The text of the file at this path of the repository, None where there is none.

        A RepositoryError for what is no text (:func:`.text.decode_text`).
        """
        data = self.reader(path)
        return None if data is None else decode_text(data, file=path)
