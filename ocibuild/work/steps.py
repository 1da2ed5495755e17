"""The layers of steps: each step runs in the image below it, unless the store knows what came of it."""

import contextlib
import hashlib
import json
import platform as host
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Self

from ocibuild.core.clock import FIXED_TIME
from ocibuild.core.errors import BuildError, MachineError, UsageError
from ocibuild.core.events import EventSink, Notice, TerminalLent
from ocibuild.core.paths import DEFAULT_PATH
from ocibuild.core.platform import Platform
from ocibuild.core.step import Step
from ocibuild.image.users import ImageUser
from ocibuild.layer.placement import Placement
from ocibuild.sandbox.capture import CapturedChange
from ocibuild.sandbox.execution import Execution, Identity, Mount, Outcome, Streams
from ocibuild.sandbox.ladder import AUTOMATIC, choose
from ocibuild.sandbox.prepared_root import PreparedRoot, prepared_root
from ocibuild.sandbox.rung import Rung
from ocibuild.sandbox.selection import CaptureRules
from ocibuild.spec.options import BuildOptions
from ocibuild.store.store import Store
from ocibuild.work.below import CONTENT_NOTE, Below
from ocibuild.work.layers import FragmentRecipe, LayerMaker, LayerRecipe, MadeLayer
from ocibuild.work.phase import Phase
from ocibuild.work.shared_cache import SharedCache
from ocibuild.work.step_log import StepLog

__all__ = ["HOST_NAME", "StepRunner", "StepSettings", "secret_mounts"]

_VERSION = 2
"""Part of every step's key: raise it when the same step on the same layers gives other bytes."""

HOST_NAME = "localhost"
"""What every machine is called for code that runs while an image is made: programs write it into their settings."""

_SECRETS = "/run/secrets"
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")


@dataclass(frozen=True, slots=True)
class StepSettings:
    """How this machine runs steps. Nothing of it changes what comes of one that runs.

    ``sandbox`` is a rung's name, ``auto`` or ``none``. ``secrets`` are files of this machine for ``/run/secrets``.
    With ``debug`` a shell is started in the root where a step fails. ``skipped`` leaves all steps out of the image.
    """

    sandbox: str = AUTOMATIC
    secrets: tuple[Mount, ...] = ()
    timeout_seconds: float | None = None
    debug: bool = False
    skipped: bool = False

    @classmethod
    def of(cls, options: BuildOptions, platform: Platform, environment: Mapping[str, str]) -> Self:
        """What the options say of steps for this platform; a UsageError where a secret's file is not there."""
        return cls(
            options.sandbox or AUTOMATIC,
            secret_mounts(options.step_secrets, home=environment.get("HOME") or "/"),
            options.step_timeout_seconds,
            options.debug_step,
            skipped=platform in options.skip_steps_on,
        )


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
    """Runs the steps of one image, which is for ``platform``.

    ``environment`` is what the image's configuration will say; ``homes`` are folders (absolute) in which everything
    that a step leaves is wanted. ``variables`` are this process', of which a step gets only the way to the network.
    ``cache`` is told before a step runs.
    """

    store: Store
    events: EventSink
    variables: Mapping[str, str]
    maker: LayerMaker
    platform: Platform
    settings: StepSettings
    environment: Mapping[str, str]
    homes: tuple[str, ...]
    cache: SharedCache | None = None
    _rung: Future[Rung] | None = field(default=None, init=False)

    def layer(self, step: Step, user: ImageUser, below: Below, *, modified: int = FIXED_TIME) -> MadeLayer:
        """The layer of what the step changes in the image of ``below``, in which ``user`` is who it runs as.

        ``modified`` (seconds since the epoch) is the time of everything that it made. A BuildError with the end of the
        step's output where it fails, a MachineError where this machine cannot run it; nothing of it is kept then.
        """
        execution = self.execution(step, user, modified=modified)
        rules = CaptureRules(modified, homes=(*self.homes, execution.environment["HOME"]), keep=step.keep)
        recipe = FragmentRecipe(self._key(step, execution, rules, below), step.name, _unknown, has_folders=True)
        if not self.maker.lacks([recipe]):
            return self._made(recipe)
        # Another process may run it at this moment, and leave what came of it.
        with self.store.turn("step", recipe.key) as waited:
            if waited and not self.maker.lacks([recipe]):
                return self._made(recipe)
            return self._changed(step, execution, rules, recipe, below)

    def _changed(
        self, step: Step, execution: Execution, rules: CaptureRules, recipe: FragmentRecipe, below: Below
    ) -> MadeLayer:
        """Run the step, and make the layer of what it changed."""
        with self.entered(step, below) as (rung, root):
            outcome = self.run(step.name, execution, rung, root)
            change = root.capture(outcome, execution, rules)
            self._tell(step.name, change)
            return self._made(replace(recipe, place=lambda: _placement(change)))

    def _made(self, fragment: FragmentRecipe) -> MadeLayer:
        """The layer of a change, whose fragment holds the folders above everything in it."""
        (layer,) = self.maker.make_all([LayerRecipe(fragment.subject, (fragment,), lambda _: [])])
        return layer

    def execution(self, step: Step, user: ImageUser, *, modified: int) -> Execution:
        """What runs for a step. Its environment is the image's, the user's and its own; nothing of this process's."""
        name = user.name or str(user.uid)
        environment = {
            "PATH": DEFAULT_PATH,
            **(self.environment if step.has_image_environment else {}),
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
            host_name=HOST_NAME,
        )

    def _inputs(self, step: Step) -> Iterator[Mount]:
        """The files that a step reads, from the store."""
        for path, digest in step.inputs.items():
            yield Mount(self.store.blobs.path(digest), path)

    def tell_skipped(self, step: Step) -> None:
        """Say that the image lacks what the step would have done."""
        self.events(Notice(f"{step.name} ({step.why}) is not run for {self.platform}, as asked", warning=True))

    @contextlib.contextmanager
    def entered(self, step: Step, below: Below, *, can_be_skipped: bool = True) -> Iterator[tuple[Rung, PreparedRoot]]:
        """A root that holds ``below``, and the rung to run ``step`` in it.

        A MachineError names the step and why it was to run, where nothing can run it here; it says how to do without
        those that ``can_be_skipped``.
        """
        chosen = self.choosing(step, can_be_skipped=can_be_skipped)
        chain = below.chain(self.store)
        rung = self._chosen(step, chosen)
        if self.cache is not None:
            self.cache.before_step(rung.name)
        with prepared_root(self.store, rung, wanted=chain.keys) as root:
            with Phase(self.events, "preparing", f"a root for {step.name}"):
                root.move(chain)
            yield rung, root

    def choosing(self, step: Step, *, can_be_skipped: bool = True) -> Future[Rung]:
        """The choice of a rung for the step: they are tried while other things are done.

        A MachineError where none need be tried.
        """
        needed = f"{step.name} has to run ({step.why})"
        here = Platform.parse(host.machine())
        if self.platform.architecture != here.architecture:
            otherwise = "ask for a version that need not be built (--skip-steps-on leaves steps out, no packages)"
            if can_be_skipped:
                otherwise = f"leave its steps out: --skip-steps-on {self.platform}"
            raise MachineError(
                f"{needed}, and this machine cannot run programs of {self.platform}",
                hint=f"build it on such a machine, or {otherwise}",
            )
        if self.settings.sandbox == "none":
            raise MachineError(f"{needed}, and --sandbox none forbids it", hint="build without that option")
        if self._rung is None:
            trials = ThreadPoolExecutor(1, "trial")
            self._rung = trials.submit(choose, self.settings.sandbox, scratch=self.store.folder)
            trials.shutdown(wait=False)
        return self._rung

    @staticmethod
    def _chosen(step: Step, chosen: Future[Rung]) -> Rung:
        try:
            return chosen.result()
        except MachineError as error:
            raise MachineError(f"{step.name} has to run ({step.why}), and {error.message}", hint=error.hint) from error

    def run(self, name: str, execution: Execution, rung: Rung, root: PreparedRoot) -> Outcome:
        """Run it to its end; a BuildError where it fails. Its output is shown, and kept in the store's ``logs``."""
        owners = root.owners()
        execution = replace(execution, environment={**self._proxies(execution), **execution.environment})
        with (
            Phase(self.events, "running", f"{name} ({rung.name})"),
            StepLog(self.store.folder / "logs", name, self.events) as log,
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
        variables = self.variables
        names = (*_PROXY_VARIABLES, *map(str.upper, _PROXY_VARIABLES))
        return {name: variables[name] for name in names if name in variables}

    def _debug(self, execution: Execution, rung: Rung, root: PreparedRoot) -> None:
        """A shell where the step failed, with what it left, on this terminal."""
        if not sys.stdin.isatty():
            self.events(Notice("--debug-step needs a terminal: no shell is started", warning=True))
            return
        shell = replace(execution, arguments=("/bin/sh", "-i"), timeout_seconds=None)
        self.events(Notice("a shell where the step failed; leave it to end the build"))
        self.events(TerminalLent(lent=True))
        try:
            rung.run(root.enter(), shell, Streams(), owners=root.owners())
        finally:
            self.events(TerminalLent(lent=False))

    def _tell(self, name: str, change: CapturedChange) -> None:
        """What of the step's change is not in its layer."""
        if change.left_out:
            listed = ", ".join(
                f"{each.what} ({each.count} paths, {each.size_bytes / 1e6:.1f} MB)" for each in change.left_out
            )
            self.events(Notice(f"{name}: left out of its layer: {listed}"))
        if change.special:
            listed = ", ".join(f"/{path}" for path in change.special)
            self.events(Notice(f"{name}: no layer can hold devices, fifos and sockets: {listed}", warning=True))

    def _key(self, step: Step, execution: Execution, rules: CaptureRules, below: Below) -> str:
        """The key of what comes of it: the layers below, and all that it is told. Secrets and limits are not in it."""
        identity = execution.identity
        facts = [
            _VERSION,
            below.diff_ids,
            below.layers,
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
