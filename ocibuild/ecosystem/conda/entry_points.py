"""The programs that a noarch Python package asks for, in the words of rattler's own wrappers."""

from ocibuild.ecosystem.conda.metadata import EntryPoint
from ocibuild.ecosystem.conda.placeholder import program_line

__all__ = ["wrapper"]

_WRAPPER = """\
{first_line}
# -*- coding: utf-8 -*-
import re
import sys

from {module} import {imported}

if __name__ == '__main__':
\tsys.argv[0] = re.sub(r'(-script\\.pyw?|\\.exe)?$', '', sys.argv[0])
\tsys.exit({function}())
"""


def wrapper(point: EntryPoint, *, interpreter: str) -> bytes:
    """The script that calls the function; ``interpreter`` is the absolute path of the environment's Python."""
    return _WRAPPER.format(
        first_line=program_line(interpreter),
        module=point.module,
        imported=point.function.partition(".")[0],
        function=point.function,
    ).encode()
