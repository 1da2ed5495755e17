"""Running an image here without a container runtime: in a prepared root, on the first rung that works."""

import platform as host
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from ocibuild.core.descriptor import INDEX_TYPES
from ocibuild.core.errors import MachineError, UsageError
from ocibuild.core.events import EventSink, TerminalLent
from ocibuild.core.paths import DEFAULT_PATH
from ocibuild.core.platform import Platform
from ocibuild.image.config import ImageConfig
from ocibuild.image.image import Image, read_image
from ocibuild.image.source import ImageSource
from ocibuild.image.users import find_user
from ocibuild.image.view import View
from ocibuild.sandbox.chain import Chain
from ocibuild.sandbox.execution import Execution, Identity, Mount, Streams
from ocibuild.sandbox.ladder import AUTOMATIC, choose
from ocibuild.sandbox.prepared_root import prepared_root
from ocibuild.store.store import Store
from ocibuild.work.access import RegistryAccess
from ocibuild.work.image_layers import read_pieces
from ocibuild.work.phase import Phase
from ocibuild.work.places import open_source

__all__ = ["RunRequest", "execution_of", "parse_mount", "parse_variable", "read_variables", "run_image"]

_MOUNT_MODES = {"ro": False, "rw": True}


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What runs. None and empty values leave what the image says; ``entrypoint`` drops the image's command too."""

    image: str
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    user: str | None = None
    working_folder: str | None = None
    mounts: tuple[Mount, ...] = ()
    network: bool = True
    sandbox: str = AUTOMATIC


def run_image(
    request: RunRequest,
    *,
    store: Store,
    environment: Mapping[str, str],
    events: EventSink,
    access: RegistryAccess | None = None,
) -> int:
    """Run the image's program with this process' streams, and return its exit code.

    What it writes is thrown away, but for what is mounted. A MachineError where no rung works or the image is for
    another processor; 127 and 126 are the codes of a program that is not there or cannot be executed.
    """
    rung = choose(request.sandbox, scratch=store.folder)
    with open_source(request.image, environment=environment, events=events, access=access) as source:
        image = _image_for_here(source)
        with Phase(events, "preparing", f"a root of {source.name}"):
            chain = _chain(source, image, store=store, events=events)
    view = View().extended(piece.table for piece in chain.pieces)
    terminal = environment.get("TERM") if sys.stdin is not None and sys.stdin.isatty() else None
    execution = execution_of(request, image.config, view, terminal=terminal)
    with prepared_root(store, rung, wanted=chain.keys) as root:
        with Phase(events, "entering", f"a root ({rung.name})"):
            root.move(chain)
        owners = root.owners()
        events(TerminalLent(lent=True))
        try:
            return rung.run(root.enter(), execution, Streams(), owners=owners).exit_code
        finally:
            events(TerminalLent(lent=False))


def execution_of(request: RunRequest, config: ImageConfig, view: View, *, terminal: str | None) -> Execution:
    """The program as whom, where and with what it runs, as a container runtime starts it (image-spec, conversion.md).

    ``terminal`` is the type of the terminal that it is at. A UsageError where there is nothing to run, or no such user.
    """
    replaced = request.entrypoint is not None
    entrypoint = request.entrypoint if request.entrypoint is not None else config.entrypoint
    command = request.command or (() if replaced else config.command or ())
    arguments = (*(entrypoint or ()), *command)
    if not arguments:
        raise UsageError(f"{request.image} has neither entrypoint nor command", hint="name a program to run in it")
    user = find_user(request.user if request.user is not None else config.user, view.read_if_there)
    variables = {
        "PATH": DEFAULT_PATH,
        **({"TERM": terminal} if terminal else {}),
        "HOME": user.home,
        **config.environment,
        **request.environment,
    }
    return Execution(
        arguments,
        MappingProxyType(variables),
        Identity(user.uid, user.gid, user.groups),
        request.working_folder or config.working_folder or "/",
        network=request.network,
        mounts=request.mounts,
    )


def parse_variable(text: str, environment: Mapping[str, str]) -> tuple[str, str] | None:
    """The variable of ``NAME=VALUE``, or this environment's of ``NAME``; None where it has none."""
    name, equals, value = text.partition("=")
    if not name:
        raise UsageError(f"{text!r} is no variable", hint="write NAME=VALUE, or NAME for this environment's value")
    if equals:
        return name, value
    return (name, environment[name]) if name in environment else None


def read_variables(file: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of a file as ``docker run --env-file`` reads it: a variable a line, ``#`` begins a comment line."""
    found = {}
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise UsageError(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name = line.partition("=")[0]
        if not name or any(character.isspace() for character in name):
            raise UsageError(f"{file}:{number}: no variable: {line!r}", hint="write NAME=VALUE")
        variable = parse_variable(line, environment)
        if variable is not None:
            found[variable[0]] = variable[1]
    return found


def parse_mount(text: str) -> Mount:
    """The mount of ``SOURCE:TARGET[:ro|:rw]``; a UsageError where it says something else or SOURCE is not there."""
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if not source or not target.startswith("/") or mode not in ("", *_MOUNT_MODES):
        raise UsageError(
            f"{text!r} is no mount", hint="write SOURCE:TARGET or SOURCE:TARGET:ro, TARGET beginning with /"
        )
    path = Path(source).expanduser().absolute()
    if not path.exists():
        raise UsageError(f"{path}: there is no such file or folder to mount")
    return Mount(path, target, writable=_MOUNT_MODES.get(mode, True))


def _image_for_here(source: ImageSource) -> Image:
    here = Platform.parse(host.machine())
    is_index = source.root().descriptor.media_type in INDEX_TYPES
    image = read_image(source, here if is_index else None)
    if image.config.platform.architecture != here.architecture:
        raise MachineError(
            f"{source.name} is for {image.config.platform}, and this machine cannot run its programs ({here})",
            hint=f"run it on such a machine, or build it for {here}",
        )
    return image


def _chain(source: ImageSource, image: Image, *, store: Store, events: EventSink) -> Chain:
    layers = [(layer.descriptor, layer.diff_id) for layer in image.layers]
    return Chain(tuple(read_pieces(source, layers, store=store, events=events, where=source.name)))
