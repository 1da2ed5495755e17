"""Which files an ignore file keeps out: compared with docker-py, whose ``exclude_paths`` repo2docker asks."""

import random
from pathlib import Path

from docker.utils.build import exclude_paths

from ocibuild.source.folder import read_folder
from ocibuild.spec.ignore import IgnoreRules

NAMES = ("a", "b", "ab", "a.b", "b.md", "README.md", "data", ".hidden")
PIECES = ("a", "b", "ab", "*", "a*", "*.md", "?", "[ab]", "[a-b]*", "data", "README*", ".*", "*a*b", "a.b", "**")


def tree(folder: Path, choice: random.Random) -> None:
    for _ in range(25):
        path = folder.joinpath(*choice.choices(NAMES, k=choice.randint(1, 4)))
        if not any(parent.is_file() for parent in (path, *path.parents)) and not path.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")


def pattern(choice: random.Random) -> str:
    """A pattern; one for an exception is a plain path, for docker-py looks for no other below an ignored folder."""
    mark = choice.choices(["", "!", "/", "./"], [6, 3, 1, 1])[0]
    pieces = choice.choices(NAMES if mark == "!" else PIECES, k=choice.choices([1, 2, 3], [5, 3, 1])[0])
    return mark + "/".join(pieces) + choice.choices(["", "/"], [8, 1])[0]


def test_random_patterns(tmp_path: Path) -> None:
    choice = random.Random(20241124)
    for number in range(60):
        folder = tmp_path / str(number)
        folder.mkdir()
        tree(folder, choice)
        listed = [(file.path, file.is_folder) for file in read_folder(folder).files]
        for _ in range(30):
            patterns = [pattern(choice) for _ in range(choice.randint(1, 5))]
            if any(text.startswith("!") for text in patterns):  # docker-py knows ** only of folders at its own depth
                patterns = [text for text in patterns if "**" not in text]
            theirs = {path for path in exclude_paths(str(folder), patterns) if not (folder / path).is_dir()}
            rules = IgnoreRules.parse("\n".join(patterns), file=".dockerignore")
            ours = {path for path in rules.kept(listed) if not (folder / path).is_dir()}
            assert ours == theirs, patterns
