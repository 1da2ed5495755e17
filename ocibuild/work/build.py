"""What is to be built: a folder and options, read and joined."""

import hashlib
import platform as host
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ocibuild.core.asks import Origin, PackageAsks
from ocibuild.core.clock import source_time
from ocibuild.core.errors import RepositoryError, UsageError
from ocibuild.core.events import EventSink, Notice
from ocibuild.core.platform import Platform
from ocibuild.core.r_asks import REPOSITORY_VARIABLE
from ocibuild.core.reference import Reference
from ocibuild.source.folder import read_folder
from ocibuild.source.tree import SourceTree
from ocibuild.spec.catalogue import CatalogueLayer
from ocibuild.spec.image_asks import ImageAsks, read_image_asks
from ocibuild.spec.options import BuildOptions
from ocibuild.spec.python_ask import DEBIAN_PYTHONS, PythonAsk, base_with_python
from ocibuild.spec.r_environment import bases_with_r
from ocibuild.spec.repository import RepositorySpec, read_repository, refuse_unsupported
from ocibuild.store.store import Store
from ocibuild.work.cache_settings import CacheSettings
from ocibuild.work.outputs import Output
from ocibuild.work.recall import state_key
from ocibuild.work.source import Source

if TYPE_CHECKING:
    from ocibuild.work.access import RegistryAccess

__all__ = ["DEFAULT_LOCK", "BuildRequest", "layer_state", "read_request"]

DEFAULT_LOCK = "ocibuild.lock"
"""The lock's name in a repository, where nothing else is said."""


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """A repository with all options said, and everything of this machine that decides the image's bytes.

    ``name`` is what the image is called where nothing else is said.
    ``base`` is as it was written, or the one that has the Python asked for. ``asks`` are all that decides the image
    beside it, and ``image_tree`` are the files that it holds of ``tree``. ``index_state`` is what this machine is set
    up to ask for packages of Python and conda. Mirrors are not among it: they hold the same archive.
    """

    name: str
    folder: Path
    tree: SourceTree
    spec: RepositorySpec
    options: BuildOptions
    base: str
    asks: ImageAsks
    platforms: tuple[Platform, ...]
    source_time: int
    images: tuple[Reference, ...]
    outputs: tuple[Output, ...]
    access: "RegistryAccess | None" = None
    lock_file: Path | None = None
    index_state: str = ""
    cache: CacheSettings | None = None

    @property
    def python(self) -> PythonAsk:
        """The Python that the image must have."""
        return _python_ask(self.options, self.spec).required

    @property
    def packages(self) -> PackageAsks:
        """All packages that are asked for; those for one suite where the base is named by its suite."""
        kind, _, suite = self.base.partition(":")
        return self.asks.packages(suite if kind == "apt" else "")

    @property
    def image_tree(self) -> SourceTree:
        """The repository's files as the image has them."""
        return self.tree.without(self.asks.ignored.ignores).with_executable(self.asks.executable)

    @property
    def key(self) -> str:
        """The key of what this request makes, as long as what it resolves to stays the same."""
        git = self.tree.git
        return state_key(str(self.tree.digest), git.identity if git else "", self.source_time, *self._other_states)

    @property
    def frame_key(self) -> str:
        """As :attr:`key`, of all but the files that are put into the image and their time."""
        return state_key("frame", repr(self.spec), *self._other_states)

    @property
    def _other_states(self) -> tuple[Any, ...]:
        return (
            self.options.canonical(),
            [str(platform) for platform in self.platforms],
            [layer_state(layer) for layer in self.asks.layers],
            sorted(self.asks.labels.items()),
            self._locked_state or self.index_state,
        )

    @property
    def has_unused_lock(self) -> bool:
        """Whether the repository has a lock and nothing says what to do with it."""
        return self.lock_file is None and any(file.path == DEFAULT_LOCK for file in self.tree.files)

    @property
    def _locked_state(self) -> str:
        """The digest of the lock, where the build may use nothing else; nothing where that cannot be read yet."""
        if not self.options.locked or self.lock_file is None or not self.lock_file.is_file():
            return ""
        return hashlib.sha256(self.lock_file.read_bytes()).hexdigest()


def layer_state(layer: CatalogueLayer) -> list[str]:
    """What of a catalogue layer decides an image's bytes, wherever its folder is."""
    files = str(read_folder(layer.files).digest) if layer.files is not None else ""
    lock = hashlib.sha256(layer.pip_lock.read_bytes()).hexdigest() if layer.pip_lock is not None else ""
    return [repr(replace(layer, files=None, pip_lock=None)), files, lock]


def read_request(
    source: Source,
    said: BuildOptions,
    *,
    store: Store,
    environment: Mapping[str, str],
    events: EventSink,
    access: "RegistryAccess | None" = None,
) -> BuildRequest:
    """Read the repository and join its options with what the command line said (``said``).

    A UsageError for options that contradict each other; whatever the readers of the repository's files raise.
    """
    folder = source.folder
    tree = read_folder(folder, records=store.records, committed=source.commit_time)
    spec = read_repository(tree.read, is_folder=tree.has_folder, said=said)
    refuse_unsupported(spec)
    for notice in spec.notices:
        events(Notice(notice, warning=True))
    options = said.over(_anchored(spec.options, folder))
    images = tuple(Reference.parse(image) for image in options.images)
    if options.push and not images:
        raise UsageError("--push needs an image name", hint="add -t HOST/NAME:TAG")
    if any(image.digest for image in images):
        raise UsageError("an image is tagged by name, not by digest", hint="write -t HOST/NAME:TAG")
    if options.locked and options.refresh:
        raise UsageError("--locked resolves nothing, and --refresh asks to resolve again", hint="leave one of them out")
    asks = read_image_asks(spec, options, origin=(source.origin, source.revision))
    if not options.is_binder:
        tree = replace(tree, git=None)
    elif tree.git is None and (folder / ".git").exists():
        events(Notice(".git is left out of the image: git, or a commit, is missing", warning=True))
    return BuildRequest(
        source.name,
        folder,
        tree,
        spec,
        options,
        options.base or _base(options, spec, asks),
        asks,
        options.platforms or (Platform.parse(host.machine()),),
        source_time(environment, tree.commit_time),
        images,
        tuple(map(Output.parse, options.outputs)),
        access,
        Path(options.lock) if options.lock else folder / DEFAULT_LOCK if options.locked else None,
        _index_state(asks, environment),
        CacheSettings.of(said, spec.options, environment),
    )


def _python_ask(options: BuildOptions, spec: RepositorySpec) -> PythonAsk:
    return PythonAsk(options.python, Origin("--python")) if options.python else spec.python


def _base(options: BuildOptions, spec: RepositorySpec, asks: ImageAsks) -> str:
    """The default base, or the one with the Python asked for where that is not conda's."""
    bases = DEBIAN_PYTHONS
    if not asks.r.is_empty:
        with_r = bases_with_r(asks.r)
        bases = {base: version for base, version in bases.items() if base in with_r}
    return base_with_python(_python_ask(options, spec), bases) if asks.conda.is_empty else next(iter(bases))


def _index_state(asks: ImageAsks, environment: Mapping[str, str]) -> str:
    """What this machine is set up to ask of indexes and channels; nothing where they are not asked."""
    state = ""
    if not asks.pip.is_empty:
        from ocibuild.ecosystem.pip.configuration import machine_index_settings  # noqa: PLC0415 - not all ask for it

        state = machine_index_settings(environment).state
    if not asks.conda.is_empty:
        from ocibuild.ecosystem.conda.configuration import machine_conda_settings  # noqa: PLC0415 - as above

        state += machine_conda_settings(environment).state
    if not asks.r.is_empty:
        state += environment.get(REPOSITORY_VARIABLE, "")
    return state


def _anchored(options: BuildOptions, folder: Path) -> BuildOptions:
    """The options of ocibuild.toml with its paths made whole; a RepositoryError where one leaves the repository.

    The folder may be anybody's: it must not reach the files of whoever builds it.
    """

    def inside(path: str) -> str:
        whole = folder / path
        if not whole.resolve().is_relative_to(folder.resolve()):
            raise RepositoryError(
                f"{path} is outside the repository",
                file="ocibuild.toml",
                hint="name a path in the repository, or give the path on the command line",
            )
        return str(whole)

    def layer(text: str) -> str:
        return inside(text) if "/" in text or (folder / text).is_dir() else text  # the name of one that ships

    return replace(
        options,
        lock=inside(options.lock) if options.lock else None,
        layer_folders=tuple(map(layer, options.layer_folders)),
    )
