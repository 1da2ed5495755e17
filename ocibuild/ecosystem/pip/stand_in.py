"""The interpreter that uv is given: it says what this machine's Python is, once, and then runs nothing at all.

To learn what a source package depends on, uv would run the package's own code with the interpreter that it knows. This
one refuses, so uv names the package instead, and it is built in the image's root. uv must have an interpreter to start
from; it asks one for its facts by running a script of its own and keeps the answer in its cache. So the stand-in
answers before any package is in play, and is closed before uv is asked to resolve. Whatever goes wrong, uv is left
without an interpreter, never with one that runs code of a package.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from ocibuild.ecosystem.pip.entry_points import shebang

__all__ = ["REFUSAL", "StandIn"]

REFUSAL = "ocibuild runs no code of packages on this machine"
"""What the closed stand-in says, and uv passes on, when it is to build something."""

_PROGRAM = """\
import os, sys
if not os.path.exists({permission!r}):
    sys.exit({refusal!r})
code = sys.argv[sys.argv.index("-c") + 1]
# uv takes these for the program that it may run: they must not be the real interpreter.
sys.executable = sys._base_executable = {program!r}
exec(compile(code, "<string>", "exec"), {{"__name__": "__main__"}})
"""


class StandIn:
    """The stand-in in a new folder of ``folder``; open until :meth:`close`."""

    def __init__(self, folder: Path) -> None:
        place = folder / "stand-in"
        place.mkdir()
        self.program = place / "python"
        self._permission = place / "open"
        self._permission.touch()
        text = _PROGRAM.format(permission=str(self._permission), refusal=REFUSAL, program=str(self.program))
        self.program.write_bytes(shebang(sys.executable) + text.encode())
        self.program.chmod(0o755)

    def question(self) -> Sequence[str]:
        """The arguments with which uv asks for the facts and does nothing else."""
        return ("python", "find", str(self.program), "--no-config", "--no-python-downloads", "--no-project")

    def close(self) -> None:
        """From now on nothing is run."""
        self._permission.unlink(missing_ok=True)
