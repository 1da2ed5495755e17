"""The sandbox as the root in which wheels are built: the base and its Debian packages, as steps see them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ocibuild.core.step import Step
from ocibuild.sandbox.execution import Execution, Identity, Mount, Streams
from ocibuild.work.below import Below
from ocibuild.work.steps import HOST_NAME, StepRunner

__all__ = ["SandboxRoot"]


@dataclass(frozen=True, slots=True)
class SandboxRoot:
    """A :class:`~ocibuild.work.python_wheels.StepRoot` of prepared roots.

    ``key`` is of all that ``below`` gives; it is asked for when a build runs, and made then.
    """

    key: str
    runner: StepRunner
    below: Callable[[], Below]

    @property
    def environment(self) -> Mapping[str, str]:
        """See :class:`~ocibuild.work.python_wheels.StepRoot`."""
        return self.runner.environment

    def run(self, step: Step, mounts: Sequence[Mount], output: Callable[[bytes], None]) -> int:
        """See :class:`~ocibuild.work.python_wheels.StepRoot`. A MachineError where no rung works here."""
        execution = Execution(
            step.arguments,
            environment=step.environment,
            identity=Identity(),
            working_folder=step.working_folder,
            network=step.network,
            mounts=tuple(mounts),
            timeout_seconds=self.runner.settings.timeout_seconds,
            host_name=HOST_NAME,
        )
        # What it changes besides the mounts makes the root dirty, and the next to enter it finds it repaired.
        with self.runner.entered(step, self.below(), can_be_skipped=False) as (rung, root):
            return rung.run(root.enter(), execution, Streams(output), owners=root.owners()).exit_code
