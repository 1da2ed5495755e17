"""Requirements files: lines, options and includes, read as pip reads them.

Source: pip 26.3's ``req/req_file.py`` and "Requirements File Format" of its documentation.
"""

import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ocibuild.core.asks import Origin, PipAsks, RequirementsFile
from ocibuild.core.errors import RepositoryError
from ocibuild.ecosystem.pip.formats import Formats
from ocibuild.ecosystem.pip.requirement import PipRequirement, parse_requirement, path_below, without_credentials

__all__ = ["Requirements", "read_requirements"]

_COMMENT = re.compile(r"(^|\s+)#.*$")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_HASH = re.compile(r"(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})")
_URL = re.compile(r"(?i)(https?|file|ftp):")

# Option -> its long name; those of the second table take no value.
_WITH_VALUE = {
    "-r": "requirement", "--requirement": "requirement", "-c": "constraint", "--constraint": "constraint",
    "-e": "editable", "--editable": "editable", "-i": "index-url", "--index-url": "index-url",
    "--pypi-url": "index-url", "--extra-index-url": "extra-index-url", "-f": "find-links", "--find-links": "find-links",
    "--no-binary": "no-binary", "--only-binary": "only-binary", "--trusted-host": "trusted-host",
    "--use-feature": "use-feature", "--hash": "hash", "-C": "config-settings", "--config-settings": "config-settings",
    "--config-setting": "config-settings", "--global-option": "global-option", "--all-releases": "all-releases",
    "--only-final": "only-final",
}  # fmt: skip
_FLAGS = {
    "--no-index": "no-index", "--pre": "pre", "--prefer-binary": "prefer-binary",
    "--require-hashes": "require-hashes", "--no-require-hashes": "no-require-hashes",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Requirements:
    """All that the files and single requirements ask, includes followed, in their order.

    ``index_url`` is None where no file names one; lists are in the order in which pip would meet them. ``formats`` says
    for which packages wheels or sources are not wanted.
    """

    required: tuple[PipRequirement, ...] = ()
    constraints: tuple[PipRequirement, ...] = ()
    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    no_index: bool = False
    prereleases: bool = False
    require_hashes: bool = False
    formats: Formats = field(default_factory=Formats)


def read_requirements(
    asks: PipAsks,
    *,
    folder: Path,
    variables: Mapping[str, str],
    formats: Formats = Formats(),  # noqa: B008 - frozen
) -> Requirements:
    """Read everything asked.

    ``folder`` is the repository's; ``formats`` are those that this machine's settings want, which options in the files
    change. ``variables`` replace ``${NAME}``, which pip takes from its own environment: a
    repository is not shown the environment of this program.

    A bad line, an unknown option, a missing or circular include is a RepositoryError that names file and line.
    """
    reader = _Reader({file.path: file for file in (*asks.files, *asks.included)}, folder, variables, formats)
    for file in asks.files:
        reader.read(file, constraint=False, including=())
    for text, origin in asks.requirements:
        reader.required.append(parse_requirement(text, origin, folder=folder))
    return reader.result()


class _Reader:
    """Collects what the lines say; the fields of :class:`Requirements` while they grow."""

    def __init__(
        self, files: Mapping[str, RequirementsFile], folder: Path, variables: Mapping[str, str], formats: Formats
    ) -> None:
        self._files = {posixpath.normpath(path): file for path, file in files.items()}
        self._folder = folder
        self._variables = variables
        self._lists: dict[str, list[str]] = {}
        self._flags: set[str] = set()
        self._formats = formats
        self.required: list[PipRequirement] = []
        self.constraints: list[PipRequirement] = []

    def result(self) -> Requirements:
        index_urls = self._lists.get("index-url")
        hashed = any(requirement.hashes for requirement in self.required)
        return Requirements(
            required=tuple(self.required),
            constraints=tuple(self.constraints),
            index_url=index_urls[0] if index_urls else None,
            extra_index_urls=tuple(self._lists.get("extra-index-url", ())),
            find_links=tuple(self._lists.get("find-links", ())),
            trusted_hosts=tuple(self._lists.get("trusted-host", ())),
            no_index="no-index" in self._flags,
            prereleases="pre" in self._flags,
            require_hashes="require-hashes" in self._flags or (hashed and "no-require-hashes" not in self._flags),
            formats=replace(self._formats, prefer_wheels=True) if "prefer-binary" in self._flags else self._formats,
        )

    def read(self, file: RequirementsFile, *, constraint: bool, including: tuple[str, ...]) -> None:
        for number, line in _logical_lines(file.text):
            origin = Origin(file.path, number)
            if _CONTROL.search(line):
                raise RepositoryError("a control character", file=file.path, line=number)
            text, options = _split(self._expanded(line, origin), origin)
            editables = [value for name, value in options if name == "editable"]
            if text or editables:
                self._add(text or editables[0], options, origin, constraint=constraint, is_editable=not text)
                continue
            for name, value in options:
                if name in ("requirement", "constraint"):
                    here = (*including, posixpath.normpath(file.path))
                    self._include(value, origin, constraint=constraint or name == "constraint", including=here)
                else:
                    self._option(name, value, origin)

    def _expanded(self, line: str, origin: Origin) -> str:
        for name in _VARIABLE.findall(line):
            if not self._variables.get(name):
                raise RepositoryError(
                    f"the variable {name} is not set",
                    file=origin.file,
                    line=origin.line,
                    hint=f"give it: --env {name}=...",
                )
            line = line.replace(f"${{{name}}}", self._variables[name])
        return line

    def _add(
        self, text: str, options: list[tuple[str, str]], origin: Origin, *, constraint: bool, is_editable: bool
    ) -> None:
        hashes = tuple(value for name, value in options if name == "hash")
        for value in hashes:
            if not _HASH.fullmatch(value):
                raise RepositoryError(
                    f"not a hash: {value!r}",
                    file=origin.file,
                    line=origin.line,
                    hint="write --hash=sha256:<64 hex digits>",
                )
        requirement = parse_requirement(
            text,
            origin,
            folder=self._folder,
            hashes=hashes,
            is_editable=is_editable,
            settings=tuple(_setting(value, origin) for name, value in options if name == "config-settings"),
        )
        (self.constraints if constraint else self.required).append(replace(requirement, in_file=True))

    def _include(self, name: str, origin: Origin, *, constraint: bool, including: tuple[str, ...]) -> None:
        if _URL.match(name):
            raise RepositoryError(
                f"{name} is not in the repository",
                file=origin.file,
                line=origin.line,
                hint="put the file into the repository",
            )
        path = posixpath.normpath(posixpath.join(posixpath.dirname(origin.file), name))
        if path in including:
            raise RepositoryError(f"{path} includes itself", file=origin.file, line=origin.line)
        if path not in self._files:
            raise RepositoryError(f"{name} does not exist in the repository", file=origin.file, line=origin.line)
        self.read(self._files[path], constraint=constraint, including=including)

    def _option(self, name: str, value: str, origin: Origin) -> None:
        if name in ("no-binary", "only-binary"):
            self._formats = self._formats.told(name, value)
        elif name == "index-url":
            self._lists["index-url"] = [self._place(value, origin)]
            self._lists["extra-index-url"] = []  # as in pip: it replaces every index named before it
        elif name in ("extra-index-url", "find-links"):
            self._lists.setdefault(name, []).append(self._place(value, origin))
        elif name == "trusted-host":
            self._lists.setdefault(name, []).append(value)
        elif name in _FLAGS.values():
            self._flags.add(name)

    def _place(self, value: str, origin: Origin) -> str:
        """The URL of an index or page as it is; a folder, below the file's folder or the repository's, as its path."""
        error = RepositoryError(
            f"{without_credentials(value)} is neither a URL nor a path in the repository",
            file=origin.file,
            line=origin.line,
        )
        try:
            parts = urlsplit(value)
            _ = parts.port
        except ValueError as cause:
            raise error from cause
        if parts.scheme in ("http", "https") and parts.hostname:
            return value
        root = self._folder.resolve()
        for base in (root / posixpath.dirname(origin.file), root):
            found = path_below(base.resolve(), unquote(parts.path)) if parts.scheme in ("", "file") else None
            if found is not None and found.is_relative_to(root):
                return str(found)
        raise error


def _setting(text: str, origin: Origin) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise RepositoryError(f"not KEY=VALUE: {text!r}", file=origin.file, line=origin.line)
    return key, value


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments, continued ones joined under the number of their first line."""
    held: list[str] = []
    first = 0
    for number, line in enumerate(text.splitlines(), start=1):
        is_comment = _COMMENT.match(line) is not None
        if not held:
            first = number
        if line.endswith("\\") and not is_comment:
            held.append(line.rstrip("\\"))
            continue
        joined = _COMMENT.sub("", "".join([*held, f" {line}" if is_comment else line])).strip()
        held = []
        if joined:
            yield first, joined
    joined = _COMMENT.sub("", "".join(held)).strip()
    if joined:
        yield first, joined


def _split(line: str, origin: Origin) -> tuple[str, list[tuple[str, str]]]:
    """The requirement of a line and its options (long name without dashes, value)."""
    words = line.split(" ")
    count = next((number for number, word in enumerate(words) if word.startswith("-")), len(words))
    try:
        rest = shlex.split(" ".join(words[count:]))
    except ValueError as error:
        raise RepositoryError(f"quotes do not match: {line!r}", file=origin.file, line=origin.line) from error
    return " ".join(words[:count]).strip(), list(_options(rest, origin))


def _options(words: list[str], origin: Origin) -> Iterator[tuple[str, str]]:
    rest = iter(words)
    for word in rest:
        option, equals, value = word.partition("=")
        if option in _FLAGS and not equals:
            yield _FLAGS[option], ""
            continue
        if option not in _WITH_VALUE and word[:2] in _WITH_VALUE and not word.startswith("--"):
            option, equals, value = word[:2], "=", word[2:]  # -rother.txt
        if option not in _WITH_VALUE:
            raise RepositoryError(
                f"pip has no option {word!r} here",
                file=origin.file,
                line=origin.line,
                hint="requirements files take -r, -c, -e, -i, -f, --hash and the like",
            )
        if not equals:
            value = next(rest, "")
        if not value:
            raise RepositoryError(f"{option} needs a value", file=origin.file, line=origin.line)
        yield _WITH_VALUE[option], value
