"""A maintainer script cut into parts whose hashes tell whether they are known.

debhelper writes its snippets between ``# Automatically added by dh_xxx/VERSION`` and ``# End automatically added
section`` (debhelper(7), dh_installdeb(1)). Each snippet is a part, and what is left of the script is one more. A part's
key is the SHA-256 of its normalised text: what differs from package to package without changing what is done (the names
of units, the package's own version, the architecture's triplet, the version of Python) is captured by a strict pattern
and replaced by a placeholder. Everything else enters the hash, so that a part with one more word in it is unknown.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["ScriptPart", "split_script"]

_SECTION = re.compile(
    r"^# Automatically added by (dh_\w+)(?:/[^\n]*)?\n(.*?)^# End automatically added section[ \t]*\n?",
    re.DOTALL | re.MULTILINE,
)
_MARKER = "@SECTION@"
_NAME = r"[A-Za-z0-9][A-Za-z0-9+.:_-]*"
_PATH = r"/[A-Za-z0-9+.:_@%~/-]+"
_UNIT = r"'([A-Za-z0-9:_.@\\-]+\.(?:service|socket|timer|path|mount|target|slice))'"
_LOGICAL_LINE = r"(?:[^\n\\]|\\.|\\\n)*"
# tool -> (pattern, placeholder): the first group is captured. Patterns are anchored by the words around them.
_VARIABLES: Mapping[str, tuple[tuple[re.Pattern[str], str], ...]] = {
    "dh_installsystemd": ((re.compile(_UNIT), "'@UNIT@'"),),
    "dh_installsystemduser": ((re.compile(_UNIT), "'@UNIT@'"),),
    "dh_systemd_enable": ((re.compile(_UNIT), "'@UNIT@'"),),
    "dh_systemd_start": ((re.compile(_UNIT), "'@UNIT@'"),),
    "dh_installtmpfiles": ((re.compile(rf"(?<=--create )((?:{_NAME}\.conf ?)+)(?= |\n)"), "@CONF@ "),),
    "dh_installsysusers": ((re.compile(rf"(?<=systemd-sysusers )((?:{_NAME}\.conf ?)+)(?= |\n)"), "@CONF@ "),),
    "dh_installinit": (
        (re.compile(rf"(?<=/etc/init\.d/)({_NAME})(?=\")"), "@INIT@"),
        (re.compile(rf"(?<=update-rc\.d )({_NAME})(?= defaults)"), "@INIT@"),
        (
            re.compile(
                rf"(?:(?<=invoke-rc\.d )|(?<=invoke-rc\.d --skip-systemd-native ))({_NAME})"
                r"(?= (?:\$_dh_action|restart|start) )"
            ),
            "@INIT@",
        ),
    ),
    "dh_python3": ((re.compile(rf"(?<=-p )({_NAME}(?: {_PATH})?(?: -V [0-9.-]+)?)(?=[ \n])"), "@PYTHON_PACKAGE@"),),
    "dh_installalternatives": (
        (re.compile(rf"^[ \t]*(update-alternatives --install {_LOGICAL_LINE})\n", re.MULTILINE), "@ALTERNATIVE@\n"),
    ),
    "dh_installdeb": (
        (re.compile(r"^(dpkg-maintscript-helper (?:[^\n\\]|\\.)*)\n", re.MULTILINE), "@HELPER@\n"),
    ),
    "dh_fortran_mod": (
        (re.compile(r"(?<=^multiarch=)\"([a-z0-9_-]+)\"$", re.MULTILINE), "@TRIPLET@"),
        (re.compile(r"(?<=^base=)\"(gfortran-mod-[0-9]+)\"$", re.MULTILINE), "@MODULES@"),
        (re.compile(r"(?<=^canoncomp=)'([A-Za-z0-9_.-]+)'$", re.MULTILINE), "@COMPILER@"),
    ),
    "dh_ucf": ((re.compile(rf'(?<=")({_PATH})(?=")'), "@FILE@"),),
}  # fmt: skip
_REPEATED = re.compile(r"(@HELPER@\n|@ALTERNATIVE@\n|'@UNIT@' ?)(?:\1)+")
_TRIPLET = re.compile(r"\b(?:x86_64|aarch64|i386|arm|powerpc64le|s390x|riscv64)-linux-gnu(?:eabihf)?\b")
_PYTHON = re.compile(r"(?<=python)3\.[0-9]+(?![0-9])")
_COMMENT_OR_BLANK = re.compile(r"^[ \t]*(?:#[^\n]*)?\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ScriptPart:
    """One part of the script that is the control archive's ``member``.

    ``tool`` is the debhelper command that wrote it, or ``""`` for the script's own text. ``key`` is the hash that the
    table of known parts is asked for, ``normalised`` what was hashed, ``captures`` what the placeholders stand for.
    """

    member: str
    tool: str
    text: str
    normalised: str
    captures: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """SHA-256, in hexadecimal, of the member's name, the tool's and the normalised text."""
        return hashlib.sha256(f"{self.member} {self.tool}\n{self.normalised}".encode()).hexdigest()

    @property
    def is_empty(self) -> bool:
        """Whether the part is a script's own text in which nothing is done."""
        return not self.tool and all(_is_boilerplate(line) for line in self.normalised.splitlines())


def split_script(member: str, content: bytes, *, package: str, version: str, architecture: str) -> list[ScriptPart]:
    """The script's own text, then its debhelper snippets in their order.

    A program that is no shell script (a binary, a Perl script) is one part, with its whole text.
    """
    text = content.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    text += "" if text.endswith("\n") else "\n"
    if not re.match(r"#! ?/bin/(?:ba|da)?sh\b", text):
        return [ScriptPart(member, "", text, _printable(text))]
    sections = [(found[1], found[2]) for found in _SECTION.finditer(text)]
    own = re.sub(rf"(?:{_MARKER}\n\s*)+", f"{_MARKER}\n", _SECTION.sub(f"{_MARKER}\n", text))
    parts = [ScriptPart(member, "", text, _normalised_own(own, package, version, architecture))]
    return parts + [_section(member, tool, body) for tool, body in sections]


def _normalised_own(text: str, package: str, version: str, architecture: str) -> str:
    if "<<" not in text:  # in a here-document, what looks like a comment is content
        text = _COMMENT_OR_BLANK.sub("", text.partition("\n")[2])
    if version and len(version) > 2:  # noqa: PLR2004 - a version such as "5" may be any number of the script
        text = re.sub(rf"(?<![\w.+~:-]){re.escape(version)}(?![\w.+~:-])", "@VERSION@", text)
    if architecture not in ("all", ""):
        text = text.replace(f"{package}:{architecture}", f"{package}:@ARCHITECTURE@")
        text = re.sub(rf"(?<=[a-z0-9]):{re.escape(architecture)}\b", ":@ARCHITECTURE@", text)
    text = _TRIPLET.sub("@TRIPLET@", text)
    return _printable(_PYTHON.sub("@PYTHON@", text))


def _section(member: str, tool: str, body: str) -> ScriptPart:
    captures: list[str] = []

    def captured(found: re.Match[str], placeholder: str) -> str:
        captures.append(found[1].strip())
        return placeholder

    normalised = body
    for pattern, placeholder in _VARIABLES.get(tool, ()):
        normalised = pattern.sub(lambda found, placeholder=placeholder: captured(found, placeholder), normalised)  # type: ignore[misc]
    normalised = _COMMENT_OR_BLANK.sub("", _REPEATED.sub(r"\1", normalised))
    return ScriptPart(member, tool, body, _printable(normalised), tuple(captures))


def _is_boilerplate(line: str) -> bool:
    return line.strip() in (
        "", ":", "true", "set -e", "set -eu", "set -u", "set +e", "exit 0", _MARKER, "exit 0;", "set -e;",
    )  # fmt: skip


def _printable(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
