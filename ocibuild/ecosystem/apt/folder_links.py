"""Folder links of an image while packages are put into it: what lies behind one goes where the kernel would put it."""

from collections.abc import Mapping

from ocibuild.core.errors import BuildError
from ocibuild.core.paths import ancestors, relative_link
from ocibuild.image.view import LayerTable, View

__all__ = ["FolderLinks"]

_MOST_LINKS = 40  # as the kernel (path_resolution(7))


class FolderLinks:
    """The links of a base, and of the packages that were taken in so far.

    What is there first decides, as it does for dpkg: a folder that is a link stays one, and a link never replaces a
    folder (dpkg 1.21, ``main/archives.c``, tarobject: "If it's already an existing directory, do nothing").
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._links: dict[str, str] = {}
        self._folders: set[str] = set()

    def take_in(self, table: LayerTable) -> list[str]:
        """Add what a package holds; the places of its links that must be left out, for a folder is there."""
        refused = []
        for path, entry in table.entries.items():
            if entry.kind == "directory":
                if not self.is_link(path):
                    self._folders.add(path)
            elif entry.kind == "symlink":
                there = self._view.get(path)
                if path in self._folders or (there is not None and there.kind == "directory"):
                    refused.append(path)
                else:
                    self._links[path] = entry.link
        self._folders.update(self._parents(table.entries))
        return refused

    def _parents(self, entries: Mapping[str, object]) -> set[str]:
        parents = {path.rpartition("/")[0] for path in entries}
        return {folder for parent in parents for folder in ancestors(f"{parent}/.") if not self.is_link(folder)}

    def is_link(self, path: str) -> bool:
        """Whether there is a link at ``path``."""
        return self._text(path) is not None

    def _text(self, path: str) -> str | None:
        text = self._links.get(path)
        if text is None and path not in self._folders:
            there = self._view.get(path)
            return there.link if there is not None and there.kind == "symlink" else None
        return text

    def resolved(self, path: str) -> str:
        """The place that ``path`` names, every link followed; a BuildError for links that lead in a circle."""
        done, rest, followed = "", path.split("/"), 0
        while rest:
            part = rest.pop(0)
            here = f"{done}/{part}" if done else part
            text = self._text(here)
            if text is None:
                done = here
                continue
            followed += 1
            if followed > _MOST_LINKS:
                raise BuildError(f"symbolic links lead in a circle at /{path}")
            target = relative_link(here, text)
            rest = [*target.split("/"), *rest] if target else rest
            done = ""
        return done
