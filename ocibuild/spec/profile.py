"""Profiles: what an image is for, as a list of layers and a few rules."""

from dataclasses import dataclass
from types import MappingProxyType

from ocibuild.core.errors import UsageError

__all__ = ["PROFILES_BY_NAME", "Profile", "profile_named"]


@dataclass(frozen=True, slots=True)
class Profile:
    """The layers of the catalogue that an image gets, in their order, and what counts in a repository.

    ``code_layers`` come with them where code of the repository runs in the build. With ``is_binder`` the rules are
    repo2docker's: a Dockerfile decides, the repository's own package is installed, ``start`` is started,
    ``.dockerignore`` keeps files out, and the labels say what was built.
    """

    name: str
    layers: tuple[str, ...]
    code_layers: tuple[str, ...] = ()
    is_binder: bool = False

    def layer_names(self, *, runs_code: bool) -> tuple[str, ...]:
        """The layers of an image in whose build code of the repository runs, or does not."""
        return (*self.layers, *(self.code_layers if runs_code else ()))


_PROFILES = (
    Profile(
        "binder",
        ("user", "locale", "tools", "binder", "jupyter", "entrypoint"),
        code_layers=("buildpack",),
        is_binder=True,
    ),
    Profile("plain", ("user",)),
)
PROFILES_BY_NAME = MappingProxyType({profile.name: profile for profile in _PROFILES})


def profile_named(name: str) -> Profile:
    """The profile; a UsageError names those that there are."""
    try:
        return PROFILES_BY_NAME[name]
    except KeyError as error:
        raise UsageError(f"no profile {name!r}", hint=f"there are: {', '.join(PROFILES_BY_NAME)}") from error
