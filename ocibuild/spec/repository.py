"""What a whole repository asks for, from all of its configuration files."""

from collections.abc import Callable
from dataclasses import dataclass, field

from ocibuild.core.asks import AptAsk, PipAsks
from ocibuild.core.errors import MachineError, RepositoryError
from ocibuild.spec.apt_txt import parse_apt_txt
from ocibuild.spec.options import BuildOptions
from ocibuild.spec.requirements import read_requirements
from ocibuild.spec.settings import parse_settings
from ocibuild.spec.text import decode_text

__all__ = ["RepositorySpec", "read_repository"]

SETTINGS_FILE = "ocibuild.toml"

# What a repository cannot do without, and this version cannot give it: building on would make a wrong image.
_REFUSED = {
    "environment.yml": "conda environments",
    "environment.yaml": "conda environments",
    "conda-lock.yml": "conda environments",
    "pixi.lock": "conda environments",
    "install.R": "R packages",
    "DESCRIPTION": "R packages",
    "renv.lock": "R packages",
    "Project.toml": "Julia projects",
    "JuliaProject.toml": "Julia projects",
    "default.nix": "Nix environments",
    "Pipfile": "Pipenv projects",
    "Pipfile.lock": "Pipenv projects",
}
# What is only worth a word.
_IGNORED = {
    "Dockerfile": "its instructions are not followed: write what it installs into apt.txt and requirements.txt",
    "runtime.txt": "the Python is that of the base",
    "start": "name the command in ocibuild.toml (cmd = [...])",
    "setup.py": "the package itself is not installed: only its files are there",
}


@dataclass(frozen=True, slots=True)
class RepositorySpec:
    """What the configuration files of a repository say. ``notices`` are worth telling the user.

    ``post_build`` is the path of ``postBuild`` in the repository, None where there is none.
    """

    options: BuildOptions = field(default_factory=BuildOptions)
    apt: tuple[AptAsk, ...] = ()
    pip: PipAsks = field(default_factory=PipAsks)
    post_build: str | None = None
    notices: tuple[str, ...] = ()


def read_repository(read: Callable[[str], bytes | None], *, exists: Callable[[str], bool]) -> RepositorySpec:
    """Read a repository's configuration files.

    As repo2docker does, looks in ``binder/`` or ``.binder/`` where one of them is there, and else at the top;
    ``ocibuild.toml`` is always at the top. ``read`` gives a file's bytes, or None; ``exists`` tells of any path. A
    RepositoryError names file and line of what is wrong, a MachineError what this version cannot build.
    """
    folder = _config_folder(exists)
    refused = [name for name in _REFUSED if read(folder + name) is not None]
    if refused:
        what = "; ".join(f"{folder}{name} asks for {_REFUSED[name]}" for name in refused)
        raise MachineError(
            f"this version cannot build the repository: {what}",
            hint="it builds what apt.txt and requirements.txt ask for; take the other files out of the repository",
        )
    settings = read(SETTINGS_FILE)
    apt = read(f"{folder}apt.txt")
    requirements = f"{folder}requirements.txt"
    return RepositorySpec(
        options=parse_settings(decode_text(settings, file=SETTINGS_FILE), file=SETTINGS_FILE, read=read)
        if settings is not None
        else BuildOptions(),
        apt=parse_apt_txt(decode_text(apt, file=f"{folder}apt.txt"), file=f"{folder}apt.txt")
        if apt is not None
        else (),
        pip=read_requirements(requirements, read) if read(requirements) is not None else PipAsks(),
        post_build=f"{folder}postBuild" if read(f"{folder}postBuild") is not None else None,
        notices=tuple(f"{folder}{name}: {why}" for name, why in _IGNORED.items() if read(folder + name) is not None),
    )


def _config_folder(exists: Callable[[str], bool]) -> str:
    """The folder of the configuration files, with a slash behind it, or nothing for the top."""
    folders = [name for name in ("binder", ".binder") if exists(name)]
    if len(folders) > 1:
        raise RepositoryError(
            "the folders binder and .binder are both there, and only one may be",
            file="binder",
            hint="remove one of them",
        )
    return f"{folders[0]}/" if folders else ""
