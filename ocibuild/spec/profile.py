"""Profiles: what an image is for, as a list of layers and a few rules."""

from dataclasses import dataclass
from types import MappingProxyType

from ocibuild.core.errors import UsageError

__all__ = ["PROFILES_BY_NAME", "Profile", "profile_named"]


@dataclass(frozen=True, slots=True)
class Profile:
    """The layers of the catalogue that an image gets, in their order, and what counts in a repository.

    ``code_layers`` come with them where code of the repository runs in the build, ``r_layers`` where R is asked for,
    ``conda_layers`` where packages of conda are.
    With ``is_binder`` the rules are repo2docker's: a Dockerfile decides, the repository's own package is installed,
    ``start`` is started, ``.dockerignore`` keeps files out, and the labels say what was built.
    """

    name: str
    layers: tuple[str, ...]
    code_layers: tuple[str, ...] = ()
    r_layers: tuple[str, ...] = ()
    conda_layers: tuple[str, ...] = ()
    is_binder: bool = False

    def layer_names(self, *, runs_code: bool, has_r: bool = False, has_conda: bool = False) -> tuple[str, ...]:
        """The layers of an image; whether code of the repository runs in its build, and whether it has R or conda."""
        return (
            *self.layers,
            *(self.code_layers if runs_code else ()),
            *(self.r_layers if has_r else ()),
            *(self.conda_layers if has_conda else ()),
        )


_PROFILES = (
    Profile(
        "binder",
        ("user", "locale", "tools", "binder", "jupyter", "entrypoint"),
        code_layers=("buildpack",),
        r_layers=("r", "r-kernel"),
        conda_layers=("conda",),
        is_binder=True,
    ),
    Profile("plain", ("user",), r_layers=("r",)),
)
PROFILES_BY_NAME = MappingProxyType({profile.name: profile for profile in _PROFILES})


def profile_named(name: str) -> Profile:
    """The profile; a UsageError names those that there are."""
    try:
        return PROFILES_BY_NAME[name]
    except KeyError as error:
        raise UsageError(f"no profile {name!r}", hint=f"there are: {', '.join(PROFILES_BY_NAME)}") from error
