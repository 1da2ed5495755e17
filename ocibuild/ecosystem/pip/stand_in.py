"""The interpreter that uv is given: it says what this machine's Python is, and runs nothing else.

To learn what a source package depends on, uv would run the package's own code with the interpreter that it knows. This
one refuses, so uv names the package instead, and it is built in the image's root. uv must have an interpreter to start
from; it asks one for its facts by running a script of its own, and keeps the answer in its cache. So the stand-in runs
what it is given only where a variable of the environment allows it, which is set for that question alone, when no
package is in play. Whatever goes wrong, uv is left without an interpreter, never with one that runs code of a package.
"""

import hashlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from ocibuild.core.atomic import replacing
from ocibuild.ecosystem.pip.entry_points import shebang

__all__ = ["REFUSAL", "StandIn"]

REFUSAL = "ocibuild runs no code of packages on this machine"
"""What the stand-in says, and uv passes on, when it is to build something."""

_VARIABLE = "OCIBUILD_STAND_IN_MAY_ANSWER"
_PROGRAM = """\
import os, sys
if os.environ.pop({variable!r}, "") != "yes":
    sys.exit({refusal!r})
code = sys.argv[sys.argv.index("-c") + 1]
# uv takes these for the program that it may run: they must not be the real interpreter.
sys.executable = sys._base_executable = {program!r}
exec(compile(code, "<string>", "exec"), {{"__name__": "__main__"}})
"""


class StandIn:
    """The stand-in for the Python that runs this program, in a folder of ``folder`` of its own.

    It stays there: what uv keeps of its answer is good as long as the file is the same.
    """

    variables: Mapping[str, str] = MappingProxyType({_VARIABLE: "yes"})
    """The environment in which it answers: for :meth:`question`, and nothing else."""

    def __init__(self, folder: Path) -> None:
        place = folder / hashlib.sha256(f"{sys.executable} {sys.version}".encode()).hexdigest()[:16]
        self.program = place / "python"
        text = _PROGRAM.format(variable=_VARIABLE, refusal=REFUSAL, program=str(self.program))
        content = shebang(sys.executable) + text.encode()
        if not self.program.is_file() or self.program.read_bytes() != content:
            with replacing(self.program) as file:
                file.write(content)
                Path(file.name).chmod(0o755)

    def question(self) -> Sequence[str]:
        """The arguments with which uv asks for the facts and does nothing else."""
        return ("python", "find", str(self.program), "--no-config", "--no-python-downloads", "--no-project")
