"""The filter program, run by a small interpreter of its instructions."""

import struct
from pathlib import Path

import pytest

from ocibuild.sandbox.filter import (
    ALLOW,
    ANSWER_SUCCESS,
    AUDIT_ARCHITECTURES,
    NOTIFY,
    REFUSE_UNKNOWN,
    assemble,
    one_id_rules,
)
from ocibuild.sandbox.kernel import _NUMBERS

ARCHITECTURES = ("x86_64", "aarch64")


def answer(program: bytes, *, number: int, architecture: int) -> int:
    """What the kernel would do with a call (struct seccomp_data: number, architecture, ...)."""
    lines = list(struct.iter_unpack("=HBBI", program))
    data = struct.pack("=II", number, architecture)
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, operand = lines[at]
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, operand)
        elif code == 0x15:
            at += if_true if accumulator == operand else if_false
        else:
            assert code == 0x06
            return int(operand)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("is_root", [True, False])
def test_every_call_gets_its_answer(architecture: str, is_root: bool) -> None:  # noqa: FBT001 - a parameter
    numbers, audit = _NUMBERS[architecture], AUDIT_ARCHITECTURES[architecture]
    program = assemble(one_id_rules(numbers, is_root=is_root), audit_architecture=audit)
    expected = dict.fromkeys(range(512), ALLOW)
    for name, number in numbers.items():
        if (name.startswith("set") and name.endswith(("id", "groups"))) or name == "capset":
            expected[number] = ANSWER_SUCCESS if is_root else ALLOW
        elif "chown" in name or name.endswith("xattr"):
            expected[number] = NOTIFY
        elif name.endswith("xattrat"):
            expected[number] = REFUSE_UNKNOWN
    assert {number: answer(program, number=number, architecture=audit) for number in expected} == expected


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_other_architectures_are_left_alone(architecture: str) -> None:
    numbers = _NUMBERS[architecture]
    program = assemble(one_id_rules(numbers, is_root=True), audit_architecture=AUDIT_ARCHITECTURES[architecture])
    i386 = 0x40000003
    assert {answer(program, number=number, architecture=i386) for number in range(512)} == {ALLOW}
    x32 = 0x40000000
    audit = AUDIT_ARCHITECTURES[architecture]
    assert {answer(program, number=x32 | number, architecture=audit) for number in range(512)} == {ALLOW}


def test_a_program_is_no_longer_than_the_kernel_takes() -> None:
    for architecture in ARCHITECTURES:
        rules = one_id_rules(_NUMBERS[architecture], is_root=True)
        assert len(assemble(rules, audit_architecture=1)) // 8 <= 255  # a jump's distance is one byte


@pytest.mark.parametrize(
    ("architecture", "file"), [("x86_64", "x86_64-linux-gnu/asm/unistd_64.h"), ("aarch64", "asm-generic/unistd.h")]
)
def test_numbers_are_the_kernels_own(architecture: str, file: str) -> None:
    """Those of the machine's headers, where they are installed."""
    header = Path("/usr/include", file)
    if not header.exists():
        pytest.skip("linux-libc-dev is not installed")
    words = [line.split() for line in header.read_text().splitlines() if line.startswith("#define __NR_")]
    known = {word[1].removeprefix("__NR_"): int(word[2]) for word in words if word[2].isdigit()}
    listed = _NUMBERS[architecture]
    assert {name: known[name] for name in listed if name in known} == {n: v for n, v in listed.items() if n in known}
    assert len(listed.keys() & known.keys()) > 20
