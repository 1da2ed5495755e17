"""The seccomp filter of a user name space that has one id (seccomp(2), "Filters"; linux/bpf_common.h).

The helper imports this: only light modules of the standard library may be used here.
"""

import errno
import struct
from collections.abc import Mapping, Sequence

__all__ = ["ALLOW", "ANSWER_SUCCESS", "AUDIT_ARCHITECTURES", "NOTIFY", "REFUSE_UNKNOWN", "assemble", "one_id_rules"]

ALLOW, ANSWER_SUCCESS, REFUSE_UNKNOWN, NOTIFY = 0x7FFF0000, 0x00050000, 0x00050000 | errno.ENOSYS, 0x7FC00000
"""What a filter answers: SECCOMP_RET_ALLOW, RET_ERRNO with no error and with ENOSYS, RET_USER_NOTIF."""

AUDIT_ARCHITECTURES: Mapping[str, int] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""linux/audit.h"""

_LOAD_WORD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER_OFFSET, _ARCHITECTURE_OFFSET = 0, 4  # struct seccomp_data

_SET_IDS = (
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setgroups",
    "setresuid",
    "setresgid",
    "setfsuid",
    "setfsgid",
    "capset",
)
_CHOWNS = ("chown", "fchown", "lchown", "fchownat")
_ATTRIBUTES = ("setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr")
_NEWER_ATTRIBUTES = ("setxattrat", "removexattrat")


def one_id_rules(numbers: Mapping[str, int], *, is_root: bool) -> list[tuple[int, int]]:
    """The number of each call that is not simply allowed, with the answer; ``numbers`` are those of the processor.

    Root may become anybody, so its calls succeed and do nothing; of another user the kernel refuses by itself what
    it should. C libraries do without the newest calls for attributes where they are unknown.
    """
    answers: list[tuple[Sequence[str], int]] = [
        (_SET_IDS if is_root else (), ANSWER_SUCCESS),
        (_CHOWNS, NOTIFY),
        (_ATTRIBUTES, NOTIFY),
        (_NEWER_ATTRIBUTES, REFUSE_UNKNOWN),
    ]
    return [(numbers[name], answer) for names, answer in answers for name in names if name in numbers]


def assemble(rules: Sequence[tuple[int, int]], *, audit_architecture: int) -> bytes:
    """A filter program that gives each listed system call its answer and allows all others.

    Calls of another architecture (i386 programs on x86-64) are allowed: their numbers mean other things.
    """
    answers = [ALLOW, *dict.fromkeys(answer for _, answer in rules)]
    first_answer = 3 + len(rules)
    lines = [
        (_LOAD_WORD, 0, 0, _ARCHITECTURE_OFFSET),
        (_JUMP_IF_EQUAL, 0, first_answer - 2, audit_architecture),
        (_LOAD_WORD, 0, 0, _NUMBER_OFFSET),
    ]
    for number, answer in rules:
        target = first_answer + answers.index(answer)
        lines.append((_JUMP_IF_EQUAL, target - len(lines) - 1, 0, number))  # a jump counts from the line after it
    lines += [(_RETURN, 0, 0, answer) for answer in answers]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
