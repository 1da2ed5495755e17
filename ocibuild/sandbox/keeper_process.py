"""Who changes a prepared root: this process, or one that a rung lets change files of others."""

import pickle
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from ocibuild.core.errors import MachineError, OcibuildError
from ocibuild.sandbox.keeper import RootKeeper
from ocibuild.store.roots import RootFolder

__all__ = ["Keeper", "remove_root"]

_MODULE = "ocibuild.sandbox.keeper"


class Keeper:
    """Has the operations of a :class:`~ocibuild.sandbox.keeper.RootKeeper` done.

    Where there are arguments ``behind`` which a command may change the root's files, a process of its own is started
    behind them for the first operation, and ended by :meth:`close`; a context manager that does so.
    """

    def __init__(self, behind: Sequence[str], root: RootFolder, *, with_owners: bool) -> None:
        self._behind = tuple(behind)
        self._local = RootKeeper(root, with_owners=with_owners)
        self._start = (root, with_owners)
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, operation: str, *arguments: Any) -> Any:
        """What the operation of this name returns; its error is raised here.

        A MachineError where the process cannot be started or ends without an answer.
        """
        if not self._behind:
            return self._local.do(operation, *arguments)
        try:
            if self._process is None:
                self._begin()
            self._send((operation, arguments))
            result = self._receive()
        except (BrokenPipeError, EOFError, pickle.UnpicklingError) as error:
            raise MachineError(f"the keeper of prepared roots {self._end()}") from error
        except BaseException:
            self.close()  # an answer that is not waited for must not be taken for another one's
            raise
        if isinstance(result, OcibuildError):
            raise result
        return result

    def _begin(self) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        command = [*self._behind, sys.executable, "-P", "-m", _MODULE]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors
            )
        except OSError as error:
            raise MachineError(f"cannot start {self._behind[0]}: {error.strerror}") from error
        self._send(self._start)

    def _send(self, value: Any) -> None:
        assert self._process is not None  # noqa: S101 - it was started
        assert self._process.stdin is not None  # noqa: S101 - a pipe
        pickle.dump(value, self._process.stdin)
        self._process.stdin.flush()

    def _receive(self) -> Any:
        assert self._process is not None  # noqa: S101 - it was started
        assert self._process.stdout is not None  # noqa: S101 - a pipe
        return pickle.load(self._process.stdout)  # noqa: S301 - written by this very program

    def _end(self) -> str:
        """Wait for the end of a process that gave no answer; how it ended and what it said."""
        assert self._process is not None  # noqa: S101 - it was started
        assert self._errors is not None  # noqa: S101 - it was opened before
        code = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace")
        self.close()
        return f"ended with code {code}: {said}"

    def close(self) -> None:
        """End the process."""
        process, errors, self._process, self._errors = self._process, self._errors, None, None
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                _close(pipe)
            process.wait()
        if errors is not None:
            errors.close()


def _close(pipe: IO[bytes] | None) -> None:
    assert pipe is not None  # noqa: S101 - both are pipes
    try:
        pipe.close()
    except BrokenPipeError:  # it ended, and what was still to be sent to it is lost
        return


def remove_root(behind: Sequence[str], path: Path) -> None:
    """Remove a root's folder with all that is in it, as :class:`Keeper` does things."""
    with Keeper(behind, RootFolder(path), with_owners=bool(behind)) as keeper:
        keeper.ask("remove")
