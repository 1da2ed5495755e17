"""``install.R``: the packages that it names literally, so that they can be placed before it runs.

Nothing is run or evaluated: what is no literal is overlooked, and the script then installs it itself.
"""

import re
from collections.abc import Iterator

from ocibuild.core.origin import Origin
from ocibuild.core.r_asks import RAsk, RRequirement

__all__ = ["literal_packages"]

# R's comments and strings; everything else is kept as it is.
_TOKEN = re.compile(r"""#[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'""")
_STRING = r"""(?:"[^"\n]*"|'[^'\n]*')"""
_VECTOR = rf"(?:c\s*\(\s*({_STRING}(?:\s*,\s*{_STRING})*)\s*\)|({_STRING}))"
_CALL = re.compile(
    r"(?<![\w.])(?:(remotes|devtools|utils|pak)\s*:::?\s*)?(install\.packages|install_version|install_cran|pkg_install|pak)"
    rf"\s*\(\s*(?:pkgs\s*=\s*|package\s*=\s*|pkg\s*=\s*)?{_VECTOR}"
    rf"(?:\s*,\s*(?:version\s*=\s*)?({_STRING}))?"
)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9.]*")
_PAK = re.compile(r"(?:cran::|any::)?([A-Za-z][A-Za-z0-9.]*)(?:@([0-9][0-9.-]*))?")


def literal_packages(text: str, *, file: str) -> tuple[RAsk, ...]:
    """The packages of literal calls of ``install.packages``, ``install_version``, ``install_cran`` and pak.

    They are optional: what no repository has is left to the script.
    """
    found: dict[str, RAsk] = {}
    plain = _TOKEN.sub(lambda token: _blank(token[0]) if token[0].startswith("#") else token[0], text)
    for call in _CALL.finditer(plain):
        line = plain.count("\n", 0, call.start()) + 1
        for requirement in _requirements(call):
            found.setdefault(requirement.name, RAsk(requirement, Origin(file, line), is_optional=True))
    return tuple(found.values())


def _requirements(call: "re.Match[str]") -> Iterator[RRequirement]:
    function, words = call[2], [word[1:-1] for word in re.findall(_STRING, call[3] or call[4])]
    for word in words:
        if function in ("pkg_install", "pak"):
            found = _PAK.fullmatch(word)
            if found is not None:
                yield RRequirement(found[1], "==" if found[2] else "", found[2] or "")
        elif _NAME.fullmatch(word):
            version = call[5][1:-1] if function == "install_version" and call[5] else ""
            is_exact = re.fullmatch(r"[0-9]+(?:[.-][0-9]+)*", version) is not None
            yield RRequirement(word, "==", version) if is_exact else RRequirement(word)


def _blank(comment: str) -> str:
    return " " * len(comment)
