"""Who compiles: this machine's Python where it is the image's, else the image's."""

import platform
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from ocibuild.core.errors import BuildError, MachineError
from ocibuild.core.platform import Platform
from ocibuild.core.step import Step
from ocibuild.ecosystem.pip.target import Libc, PythonTarget
from ocibuild.sandbox.execution import Mount
from ocibuild.store.store import Store
from ocibuild.work.bytecode import BytecodeCompiler, python_of_this_machine

HERE = Platform.parse("linux/amd64")
TARGET = PythonTarget("3.99.1", "/usr/bin/python3.99", "usr/bin/python3.99", "usr/lib", HERE, Libc("glibc", 2, 36))
SOURCES = struct.pack("<II", 5, 4) + b"/a.py" + b"a=1\n"


@dataclass
class Root:
    """Stands for the image's root: runs nothing, and answers what a Python there would."""

    answer: bytes = b"\x03\0\0\0pyc"
    exit_code: int = 0
    steps: list[Step] = field(default_factory=list)

    def run(self, step: Step, mounts: Sequence[Mount], output: Callable[[bytes], None]) -> int:
        self.steps.append(step)
        output(b"no such option")
        folder = Path(mounts[0].source)
        assert (folder / "sources").read_bytes() == SOURCES
        (folder / "bytecode").write_bytes(self.answer)
        return self.exit_code


def compiler(tmp_path: Path, target: PythonTarget, root: Any) -> BytecodeCompiler:
    return BytecodeCompiler(target, root, Store.at(tmp_path / "store"), here=HERE)


def test_a_python_that_this_machine_has(tmp_path: Path) -> None:
    version = platform.python_version()
    assert python_of_this_machine(version) is not None
    root = Root()
    answer = compiler(tmp_path, replace(TARGET, version=version), root)(SOURCES)
    assert len(answer) == 4 + struct.unpack("<I", answer[:4])[0]
    assert root.steps == []
    assert list((tmp_path / "store").iterdir()) == []  # nothing is left


def test_a_python_that_only_the_image_has(tmp_path: Path) -> None:
    assert python_of_this_machine(TARGET.version) is None
    root = Root()
    assert compiler(tmp_path, TARGET, root)(SOURCES) == root.answer
    (step,) = root.steps
    assert step.arguments[0] == "/usr/bin/python3.99"
    assert step.why == "this machine has no Python 3.99.1, whose bytecode is asked for"
    assert not step.network
    assert not step.has_secrets


def test_a_compiler_that_fails_is_told_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"Python 3\.99\.1 failed .*exit code 2.*no such option"):
        compiler(tmp_path, TARGET, Root(exit_code=2))(SOURCES)


def test_another_processor_needs_that_python_here(tmp_path: Path) -> None:
    target = replace(TARGET, platform=Platform.parse("linux/arm64"))
    with pytest.raises(MachineError, match="which this machine lacks") as caught:
        compiler(tmp_path, target, Root())(SOURCES)
    assert caught.value.exit_code == 4
