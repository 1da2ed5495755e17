"""Random but valid stacks of layers, for comparing what different programs make of the same image."""

import random
from dataclasses import replace

from ocibuild.layer.entry import WHITEOUT_PREFIX, Entry, EntryKind

__all__ = ["random_layers"]

_NAMES = [
    "bin",
    "a b",
    "naïve",
    "Ω",
    "-dash",
    "x" * 120,
    "dot.",
    "..twodots",
    "q'uote\"",
    "back\\slash",
    "tab\tbed",
    "lib",
]
_MODES = [0o644, 0o755, 0o600, 0o444, 0o4755, 0o2711, 0o1640]
_FOLDER_MODES = [0o755, 0o700, 0o1777, 0o2775, 0o555]


class _Maker:
    """Keeps what the layers so far hold, so that every whiteout and link has something to name."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.salt = f"{seed}-{random.SystemRandom().getrandbits(64):x}"
        self.kinds: dict[str, EntryKind] = {}
        self.count = 0

    def below(self, path: str) -> list[str]:
        return [other for other in self.kinds if other.startswith(f"{path}/")]

    def forget(self, path: str) -> None:
        for other in [path, *self.below(path)]:
            self.kinds.pop(other, None)

    def folders(self) -> list[str]:
        return ["", *(path for path, kind in self.kinds.items() if kind is EntryKind.DIRECTORY and path.count("/") < 5)]

    def new_path(self, untouched: set[str]) -> str | None:
        folder = self.random.choice(self.folders())
        path = f"{folder}/{self.random.choice(_NAMES)}{self.random.randrange(4)}".lstrip("/")
        return None if path in untouched or path in self.kinds else path

    def content(self) -> bytes:
        """Nothing, or bytes that no other image has: programs reuse what they have unpacked once."""
        self.count += 1
        size = self.random.choice([0, 1, 511, 512, 513, 5000, 70_000])
        return (f"{self.salt} {self.count} ".encode() * (size // 20 + 1))[:size]

    def owner(self) -> dict[str, int]:
        return {"uid": self.random.choice([0, 0, 1000, 65534]), "gid": self.random.choice([0, 0, 100, 1000])}

    def entry(self, path: str, files: list[Entry]) -> Entry:
        kind = self.random.random()
        if kind < 0.25:
            return Entry.directory(path, mode=self.random.choice(_FOLDER_MODES), **self.owner())
        if kind < 0.4:
            target = self.random.choice(["../x", "/etc/passwd", "nothing", "é/" * 60, ".", path])
            return Entry.symlink(path, target, **self.owner())
        if kind < 0.5 and files:
            file = self.random.choice(files)  # docker and podman give the file what the link's header says
            return replace(file, path=path, kind=EntryKind.HARDLINK, size_bytes=0, link=file.path, content=b"")
        return Entry.file(path, self.content(), mode=self.random.choice(_MODES), **self.owner())

    def layer(self, *, first: bool) -> list[Entry]:
        entries: dict[str, Entry] = {}
        if not first:
            entries |= {entry.path: entry for entry in self.hidden()}
        untouched = {path.replace(WHITEOUT_PREFIX, "") for path in entries}
        files: list[Entry] = []
        entries["salt"] = Entry.file("salt", f"{self.salt} {len(self.kinds)} {self.random.random()}".encode())
        self.kinds["salt"] = EntryKind.FILE
        for _ in range(self.random.randrange(10, 60)):
            path = self.new_path(untouched)
            if path is None:
                continue
            entry = self.entry(path, files)
            entries[path] = entry
            self.kinds[path] = entry.kind
            if entry.kind is EntryKind.FILE:
                files.append(entry)
        if not first:
            entries |= {entry.path: entry for entry in self.replaced(entries)}
        return self.ordered(entries)

    def hidden(self) -> list[Entry]:
        """Whiteouts of some of what is there, one of a whole folder's content among them."""
        found: list[Entry] = []
        candidates = [path for path in self.kinds if path != "salt"]
        for path in self.random.sample(candidates, min(5, len(candidates))):
            if path not in self.kinds:
                continue
            if self.kinds[path] is EntryKind.DIRECTORY and self.random.random() < 0.4:
                found.append(Entry.directory(path, mode=0o750))
                found.append(Entry.file(f"{path}/{WHITEOUT_PREFIX * 2}.opq", b""))
                for below in self.below(path):
                    self.kinds.pop(below)
            else:
                found.append(Entry.whiteout(path))
                self.forget(path)
        return [entry for entry in found if self._has_parents(entry.path)]

    def _has_parents(self, path: str) -> bool:
        folder = path.rpartition("/")[0]
        return not folder or self.kinds.get(folder) is EntryKind.DIRECTORY

    def replaced(self, entries: dict[str, Entry]) -> list[Entry]:
        """Files in place of folders, folders in place of links, and so on; and folders with another mode."""
        found = []
        for path in self.random.sample(sorted(self.kinds), min(6, len(self.kinds))):
            if (
                path == "salt"
                or path in entries
                or path not in self.kinds
                or any(p.startswith(f"{path}/") for p in entries)
            ):
                continue
            entry = self.entry(path, [])
            if entry.kind is not EntryKind.DIRECTORY:
                self.forget(path)
            self.kinds[path] = entry.kind
            found.append(entry)
        return found

    def ordered(self, entries: dict[str, Entry]) -> list[Entry]:
        """Whiteouts first (podman drops what came before an opaque one), folders before or after the rest (both occur
        in layers), in any order otherwise, hard links after what they link."""
        whiteouts = [entry for entry in entries.values() if WHITEOUT_PREFIX in entry.path]
        rest = [entry for entry in entries.values() if entry.kind is not EntryKind.DIRECTORY and entry not in whiteouts]
        folders = [entry for entry in entries.values() if entry.kind is EntryKind.DIRECTORY]
        self.random.shuffle(rest)
        rest.sort(key=lambda entry: entry.kind is EntryKind.HARDLINK)
        return whiteouts + (rest + folders if self.random.random() < 0.5 else folders + rest)


def random_layers(seed: int, count: int = 3) -> list[list[Entry]]:
    """``count`` layers, the same shape for the same seed but with contents that never occur twice."""
    maker = _Maker(seed)
    return [maker.layer(first=number == 0) for number in range(count)]
