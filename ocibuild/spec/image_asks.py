"""All that decides an image beside its base: what a repository asks, its profile's layers, and the build's options."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from ocibuild import __version__
from ocibuild.core.asks import AptAsk, CondaAsks, PackageAsks, PipAsks, RequirementsFile, StepAsk
from ocibuild.core.errors import RepositoryError
from ocibuild.core.paths import DEFAULT_PATH
from ocibuild.core.platform import Platform
from ocibuild.core.r_asks import RAsks
from ocibuild.spec.appendix import Appendix, AppendixEffect, parse_appendix
from ocibuild.spec.catalogue import Account, CatalogueLayer, find_layer, shipped_layer
from ocibuild.spec.conda_asks import conda_asks, conda_form, conda_pip_file, conda_root_asks, has_conda
from ocibuild.spec.ignore import IgnoreRules
from ocibuild.spec.options import DEFAULT_PROFILE, BuildOptions
from ocibuild.spec.profile import Profile, profile_named
from ocibuild.spec.repository import RepositorySpec
from ocibuild.spec.text import decode_text

__all__ = ["ImageAsks", "image_asks", "read_image_asks"]

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PREFIX_BIN = "/srv/conda/envs/notebook/bin"
_APPENDIX = "--appendix"
_CONDA_SUBDIRS = {  # conda's names of the platforms that conda-forge builds for
    "linux/amd64": "linux-64",
    "linux/arm64": "linux-aarch64",
    "linux/ppc64le": "linux-ppc64le",
}


@dataclass(frozen=True, slots=True)
class ImageAsks:
    """What is asked of every ecosystem, and what the image's configuration says.

    ``repository_folder`` is where the repository goes (REPO_DIR), from the root. ``path`` goes in front of the base's
    ``PATH``, the first first, and the programs of the environment with it. ``conda_root`` is what is asked of conda for
    the environment that it is in itself. ``executable`` are paths of the repository that must be executable;
    ``ignored`` are those that the image does not hold. ``owned`` are folders, without a leading slash, that belong to
    the account. ``steps`` run before the repository's ``postBuild``; what the appendix asks for comes after it.
    """

    account: Account
    repository_folder: str
    layers: tuple[CatalogueLayer, ...]
    pip: PipAsks
    conda: CondaAsks = field(default_factory=CondaAsks)
    conda_root: CondaAsks = field(default_factory=CondaAsks)
    r: RAsks = field(default_factory=RAsks)
    files_apt: tuple[AptAsk, ...] = ()
    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    path: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    ports: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    owned: tuple[str, ...] = ()
    executable: frozenset[str] = frozenset()
    ignored: IgnoreRules = field(default_factory=IgnoreRules)
    steps: tuple[StepAsk, ...] = ()
    post_build: str | None = None
    appendix: Appendix = field(default_factory=Appendix)
    said_environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)

    def apt(self, suite: str) -> tuple[AptAsk, ...]:
        """The Debian packages of the layers and of the repository, for a base of this suite (``""``: unknown)."""
        return (*(ask for layer in self.layers for ask in layer.apt_for(suite)), *self.files_apt)

    def packages(self, suite: str) -> PackageAsks:
        """All packages that are asked for, on a base of this suite."""
        return PackageAsks(self.apt(suite), self.conda, self.pip, self.r, conda_root=self.conda_root)

    def environment(self, base: Mapping[str, str], platform: Platform, *, has_python: bool) -> dict[str, str]:
        """The variables of the image on a base with these, without what an appendix adds.

        ``has_python`` tells that it has an environment of packages of Python or conda.
        Each value has the variables in it replaced by their values; what the options say stands over everything.
        """
        known = {**self.arguments(), "CONDA_SUBDIR": _CONDA_SUBDIRS.get(str(platform), "")}
        path = base.get("PATH", DEFAULT_PATH)
        result = {"PATH": path, "HOME": self.account.home, "USER": self.account.name}
        for name, value in self.variables.items():
            result[name] = _filled(value, {**base, **known, **result})
        folders = [_filled(folder, {**known, **result}) for folder in self.path]
        folders += [_PREFIX_BIN] if has_python and _PREFIX_BIN not in folders else []
        result["PATH"] = ":".join([*folders, path])
        return {**result, **self.said_environment}

    def arguments(self) -> dict[str, str]:
        """Variables that the build knows, and the image only where one of its own is set to them."""
        return {
            "NB_USER": self.account.name,
            "NB_UID": str(self.account.uid),
            "REPO_DIR": self.repository_folder,
        }

    def appended(self, environment: Mapping[str, str]) -> AppendixEffect:
        """What the appendix comes to in the image with this environment."""
        return self.appendix.effect(
            environment=environment,
            arguments=self.arguments(),
            user=self.account.name,
            working_folder=self.repository_folder,
        )


def read_image_asks(spec: RepositorySpec, options: BuildOptions, *, origin: tuple[str, str]) -> ImageAsks:
    """What decides the image, with the layers of the profile and of the user read: see :func:`image_asks`.

    The layers for code come where code of the repository runs; what an appendix runs is the operator's.
    """
    profile = profile_named(options.profile or DEFAULT_PROFILE)
    runs_code = bool(spec.post_build or options.steps or spec.project.package or spec.r.runs_code)
    has_r = not spec.r.asks(options).is_empty
    names = profile.layer_names(runs_code=runs_code, has_r=has_r, has_conda=has_conda(spec, options))
    shipped = map(shipped_layer, names)
    return image_asks(spec, profile, [*shipped, *map(find_layer, options.layer_folders)], options, origin=origin)


def image_asks(
    spec: RepositorySpec,
    profile: Profile,
    layers: Sequence[CatalogueLayer],
    options: BuildOptions,
    *,
    origin: tuple[str, str],
) -> ImageAsks:
    """Put together what decides the image.

    ``layers`` are those of the profile and of the user, in their order, of which the first account is the image's;
    ``options`` are all that are said; ``origin`` is what Binder's labels name as the repository (``local`` for a
    folder) and its ref (``None`` where none was said). A RepositoryError for an appendix that cannot be followed, and
    for a program of the repository that is to run and is ignored.
    """
    account, pip = _account(layers, options), _pip(spec, profile, layers)
    conda = conda_asks(spec, layers, options, is_binder=profile.is_binder, needs_python=not pip.is_empty)
    folder = options.repository_folder or account.home
    variables: dict[str, str] = dict(spec.conda.variables) if spec.conda is not None else {}
    path: tuple[str, ...] = ()
    labels: dict[str, str] = _labels(origin) if profile.is_binder else {}
    for layer in layers:
        variables |= layer.environment
        path = (*layer.path, *path)
        labels |= layer.labels
    start = spec.start if profile.is_binder else None
    if start is not None:
        variables["R2D_ENTRYPOINT"] = f"{folder}/{start}"
    r_steps = spec.r.steps(installs_package=profile.is_binder)
    asks = ImageAsks(
        account,
        folder,
        _with_account(layers, account),
        pip,
        conda,
        conda_root_asks(conda, layers),
        spec.r.asks(options),
        files_apt=spec.apt,
        variables=MappingProxyType(variables),
        path=path,
        labels=MappingProxyType({**labels, **options.labels}),
        ports=tuple(dict.fromkeys(port for layer in layers for port in layer.ports)),
        entrypoint=options.entrypoint or _last(layer.entrypoint for layer in layers),
        command=options.command or _last(layer.command for layer in layers),
        owned=tuple(dict.fromkeys(owned for layer in layers for owned in layer.owned)),
        executable=frozenset(filter(None, (spec.post_build, start))),
        steps=(*(step for layer in layers for step in layer.steps), *r_steps, *options.steps),
        post_build=spec.post_build,
        appendix=parse_appendix(options.appendix or "", file=_APPENDIX),
        said_environment=options.environment,
    )
    if not profile.is_binder:
        return asks
    missing = next(filter(spec.ignored.ignores, sorted(asks.executable)), None)
    if missing is not None:
        raise RepositoryError("has to run, and an ignore file keeps it out of the image", file=missing)
    return replace(asks, ignored=spec.ignored)


def _account(layers: Sequence[CatalogueLayer], options: BuildOptions) -> Account:
    """The image's user: the first account of the layers, under the name and id that the options say."""
    account = next(account for layer in layers for account in layer.accounts)
    name, uid = options.user_name or account.name, options.user_id or account.uid
    gid = options.user_id or account.gid
    home = account.home if name == account.name else f"/home/{name}"
    return replace(account, name=name, uid=uid, gid=gid, home=home)


def _with_account(layers: Sequence[CatalogueLayer], account: Account) -> tuple[CatalogueLayer, ...]:
    """The layers, the first account of which is this one."""
    place = next(place for place, layer in enumerate(layers) if layer.accounts)
    changed = replace(layers[place], accounts=(account, *layers[place].accounts[1:]))
    return (*layers[:place], changed, *layers[place + 1 :])


def _pip(spec: RepositorySpec, profile: Profile, layers: Sequence[CatalogueLayer]) -> PipAsks:
    """What the layers, the repository's files and its own package ask for; in a conda environment conda's first."""
    requirements = [
        (text, origin)
        for layer in layers
        for text, origin in layer.pip
        if spec.conda is None or not conda_form(layer, text)
    ]
    package = spec.project.package
    if profile.is_binder and package is not None:
        requirements.append((".", package))
    locks = [(f"{layer.name}/{layer.pip_lock.name}", layer.pip_lock) for layer in layers if layer.pip_lock is not None]
    preferred = tuple(RequirementsFile(name, decode_text(path.read_bytes(), file=name)) for name, path in locks)
    files = (*spec.pip.files, *conda_pip_file(spec))
    return replace(spec.pip, files=files, requirements=(*requirements, *spec.pip.requirements), preferred=preferred)


def _labels(origin: tuple[str, str]) -> dict[str, str]:
    """The labels that repo2docker gives its images; the version is this program's."""
    repository, ref = origin
    return {"repo2docker.ref": ref, "repo2docker.repo": repository, "repo2docker.version": __version__}


def _last(values: Iterable[tuple[str, ...] | None]) -> tuple[str, ...] | None:
    return next(reversed([value for value in values if value is not None]), None)


def _filled(text: str, variables: Mapping[str, str]) -> str:
    """The text with each ``${NAME}`` replaced, by nothing where there is no such variable."""
    return _REFERENCE.sub(lambda found: variables.get(found[1], ""), text)
