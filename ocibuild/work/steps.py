"""The layers of steps: each step runs in the image below it, unless the store knows what came of it."""

import contextlib
import hashlib
import json
import platform as host
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from ocibuild.core.clock import FIXED_TIME
from ocibuild.core.errors import BuildError, MachineError, UsageError
from ocibuild.core.events import Notice, TerminalLent
from ocibuild.core.paths import DEFAULT_PATH
from ocibuild.core.platform import Platform
from ocibuild.core.step import Step
from ocibuild.image.users import find_user
from ocibuild.image.view import View
from ocibuild.layer.placement import Placement
from ocibuild.sandbox.capture import CapturedChange
from ocibuild.sandbox.chain import Piece
from ocibuild.sandbox.execution import Execution, Identity, Mount, Outcome, Streams
from ocibuild.sandbox.ladder import choose
from ocibuild.sandbox.prepared_root import PreparedRoot, prepared_root
from ocibuild.sandbox.rung import Rung
from ocibuild.sandbox.selection import CaptureRules
from ocibuild.work.base import Base
from ocibuild.work.image_layers import CONTENT_NOTE, made_chain
from ocibuild.work.layers import FragmentRecipe, LayerMaker, MadeLayer
from ocibuild.work.machine import Machine
from ocibuild.work.stack import PackageLayers
from ocibuild.work.step_log import StepLog

__all__ = ["StepRunner", "StepSettings", "secret_mounts"]

_VERSION = 1
"""Part of every step's key: raise it when the same step on the same layers gives other bytes."""

_SECRETS = "/run/secrets"
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")


@dataclass(frozen=True, slots=True)
class StepSettings:
    """How this machine runs steps. Nothing of it changes what comes of one that runs.

    ``sandbox`` is a rung's name, ``auto`` or ``none``. ``secrets`` are files of this machine for ``/run/secrets``.
    With ``debug`` a shell is started in the root where a step fails. ``skipped`` leaves all steps out of the image.
    """

    sandbox: str = "auto"
    secrets: tuple[Mount, ...] = ()
    timeout_seconds: float | None = None
    debug: bool = False
    skipped: bool = False


def secret_mounts(texts: Sequence[str], *, home: str) -> tuple[Mount, ...]:
    """The mounts of ``ID=PATH`` texts; a UsageError where there is no such file."""
    mounts = []
    for text in texts:
        name, _, path = text.partition("=")
        source = Path(home, path[2:]) if path.startswith("~/") else Path(path).absolute()
        if not source.is_file():
            raise UsageError(f"the secret {name} is no file: {path}", hint="write --secret ID=PATH with a file's path")
        mounts.append(Mount(source, f"{_SECRETS}/{name}"))
    return tuple(mounts)


@dataclass(slots=True)
class StepRunner:
    """Runs the steps of one image.

    ``environment`` is what the image's configuration will say; ``homes`` are folders (absolute) in which everything
    that a step leaves is wanted.
    """

    machine: Machine
    maker: LayerMaker
    base: Base
    settings: StepSettings
    environment: Mapping[str, str]
    homes: tuple[str, ...]
    _rung: Rung | None = field(default=None, init=False)
    _base_pieces: list[Piece] = field(default_factory=list, init=False)

    def layer(
        self,
        step: Step,
        below: Sequence[MadeLayer],
        view: View,
        layers: PackageLayers,
        *,
        modified: int = FIXED_TIME,
    ) -> MadeLayer:
        """The layer of what the step changes in the image of ``below``, which ``view`` shows.

        ``modified`` (seconds since the epoch) is the time of everything that it made. A BuildError with the end of the
        step's output where it fails, a MachineError where this machine cannot run it; nothing of it is kept then.
        """
        execution = self.execution(step, view, modified=modified)
        rules = CaptureRules(modified, homes=(*self.homes, execution.environment["HOME"]), keep=step.keep)
        recipe = FragmentRecipe(self._key(step, execution, rules, below), step.name, _unknown, has_folders=True)
        if not self.maker.lacks([recipe]):
            return layers.changes(recipe)
        # Another process may run it at this moment, and leave what came of it.
        with self.machine.store.turn("step", recipe.key) as waited:
            if waited and not self.maker.lacks([recipe]):
                return layers.changes(recipe)
            return self._changed(step, execution, rules, recipe, below, layers)

    def _changed(
        self,
        step: Step,
        execution: Execution,
        rules: CaptureRules,
        recipe: FragmentRecipe,
        below: Sequence[MadeLayer],
        layers: PackageLayers,
    ) -> MadeLayer:
        """Run the step, and make the layer of what it changed."""
        with self.entered(step, below) as (rung, root):
            outcome = self.run(step.name, execution, rung, root)
            change = root.capture(outcome, execution, rules)
            self._tell(step.name, change)
            return layers.changes(replace(recipe, place=lambda: _placement(change)))

    def execution(self, step: Step, view: View, *, modified: int) -> Execution:
        """What runs for a step. Its environment is the image's, the user's and its own; nothing of this process's."""
        user = find_user(step.user, view.read_if_there)
        name = user.name or str(user.uid)
        environment = {
            "PATH": DEFAULT_PATH,
            **self.environment,
            "HOME": user.home,
            "USER": name,
            "LOGNAME": name,
            "SOURCE_DATE_EPOCH": str(modified),
            **step.environment,
        }
        return Execution(
            step.arguments,
            MappingProxyType(environment),
            identity=Identity(user.uid, user.gid, user.groups),
            working_folder=step.working_folder,
            network=step.network,
            mounts=(*(self.settings.secrets if step.has_secrets else ()), *self._inputs(step)),
            timeout_seconds=self.settings.timeout_seconds,
        )

    def _inputs(self, step: Step) -> Iterator[Mount]:
        """The files that a step reads, from the store."""
        for path, digest in step.inputs.items():
            yield Mount(self.machine.store.blobs.path(digest), path)

    def tell_skipped(self, step: Step) -> None:
        """Say that the image lacks what the step would have done."""
        platform = self.base.platform
        self.machine.events(Notice(f"{step.name} ({step.why}) is not run for {platform}, as asked", warning=True))

    @contextlib.contextmanager
    def entered(self, step: Step, below: Sequence[MadeLayer]) -> Iterator[tuple[Rung, PreparedRoot]]:
        """A root that holds the base and these layers, and the rung to run ``step`` in it.

        A MachineError names the step and why it was to run, where nothing can run it here.
        """
        rung = self._chosen(step)
        if self.machine.cache is not None:
            self.machine.cache.before_step(rung.name)
        store, events = self.machine.store, self.machine.events
        if not self._base_pieces:  # read once for all steps
            self._base_pieces = self.base.pieces(store=store, events=events)
        chain = made_chain(self._base_pieces, below, store=store)
        with prepared_root(store, rung, wanted=[piece.key for piece in chain.pieces]) as root:
            with self.machine.phase("preparing", f"a root for {step.name}"):
                root.move(chain)
            yield rung, root

    def _chosen(self, step: Step) -> Rung:
        if self._rung is None:
            needed = f"{step.name} has to run ({step.why})"
            here = Platform.parse(host.machine())
            if self.base.platform.architecture != here.architecture:
                raise MachineError(
                    f"{needed}, and this machine cannot run programs of {self.base.platform}",
                    hint=f"build it on such a machine, or leave its steps out: --skip-steps-on {self.base.platform}",
                )
            if self.settings.sandbox == "none":
                raise MachineError(f"{needed}, and --sandbox none forbids it", hint="build without that option")
            try:
                self._rung = choose(self.settings.sandbox, scratch=self.machine.store.folder)
            except MachineError as error:
                raise MachineError(f"{needed}, and {error.message}", hint=error.hint) from error
        return self._rung

    def run(self, name: str, execution: Execution, rung: Rung, root: PreparedRoot) -> Outcome:
        """Run it to its end; a BuildError where it fails. Its output is shown, and kept in the store's ``logs``."""
        owners = root.owners()
        execution = replace(execution, environment={**self._proxies(execution), **execution.environment})
        with (
            self.machine.phase("running", f"{name} ({rung.name})"),
            StepLog(self.machine.store.folder / "logs", name, self.machine.events) as log,
        ):
            outcome = rung.run(root.enter(), execution, Streams(log.write), owners=owners)
            if outcome.exit_code == 0 and not outcome.timed_out:
                return outcome
        if self.settings.debug:
            self._debug(execution, rung, root)
        raise _failure(name, outcome, log, timeout_seconds=execution.timeout_seconds)

    def _proxies(self, execution: Execution) -> dict[str, str]:
        """This machine's way to the network, for what may use it. It is no part of any key."""
        if not execution.network:
            return {}
        variables = self.machine.environment
        names = (*_PROXY_VARIABLES, *map(str.upper, _PROXY_VARIABLES))
        return {name: variables[name] for name in names if name in variables}

    def _debug(self, execution: Execution, rung: Rung, root: PreparedRoot) -> None:
        """A shell where the step failed, with what it left, on this terminal."""
        if not sys.stdin.isatty():
            self.machine.events(Notice("--debug-step needs a terminal: no shell is started", warning=True))
            return
        shell = replace(execution, arguments=("/bin/sh", "-i"), timeout_seconds=None)
        self.machine.events(Notice("a shell where the step failed; leave it to end the build"))
        self.machine.events(TerminalLent(lent=True))
        try:
            rung.run(root.enter(), shell, Streams(), owners=root.owners())
        finally:
            self.machine.events(TerminalLent(lent=False))

    def _tell(self, name: str, change: CapturedChange) -> None:
        """What of the step's change is not in its layer."""
        if change.left_out:
            listed = ", ".join(
                f"{each.what} ({each.count} paths, {each.size_bytes / 1e6:.1f} MB)" for each in change.left_out
            )
            self.machine.events(Notice(f"{name}: left out of its layer: {listed}"))
        if change.special:
            listed = ", ".join(f"/{path}" for path in change.special)
            self.machine.events(Notice(f"{name}: no layer can hold devices, fifos and sockets: {listed}", warning=True))

    def _key(self, step: Step, execution: Execution, rules: CaptureRules, below: Sequence[MadeLayer]) -> str:
        """The key of what comes of it: the layers below, and all that it is told. Secrets and limits are not in it."""
        identity = execution.identity
        facts = [
            _VERSION,
            list(map(str, self.base.config.diff_ids)),
            [layer.key for layer in below],
            execution.arguments,
            sorted(execution.environment.items()),
            [identity.uid, identity.gid, identity.groups],
            [execution.working_folder, execution.network],
            [rules.modified, rules.homes, rules.keep],
            *([sorted((path, digest.hex) for path, digest in step.inputs.items())] if step.inputs else []),
        ]
        return hashlib.sha256(json.dumps(["step", *facts]).encode("utf-8", "surrogateescape")).hexdigest()


def _placement(change: CapturedChange) -> Placement:
    return Placement(change.entries(), {CONTENT_NOTE: change.digest.encode()})


def _unknown() -> Placement:
    raise BuildError("what a step changed is not in the store any more", hint="build again")


def _failure(name: str, outcome: Outcome, log: StepLog, *, timeout_seconds: float | None) -> BuildError:
    """The error of a step that failed, with the end of what it wrote."""
    how = f"failed with exit code {outcome.exit_code}"
    if outcome.timed_out:
        how = f"was ended after {timeout_seconds:.0f} seconds (--step-timeout)"
    lines = "".join(f"\n  | {line}" for line in log.tail)
    return BuildError(
        f"{name} {how}{'; its last lines:' if lines else ' and wrote nothing'}{lines}",
        hint=f"all that it wrote is in {log.path}; build with --debug-step to get a shell where it failed",
    )
