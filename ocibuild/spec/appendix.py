"""``--appendix``: the end of a Dockerfile, as BinderHub adds one to every image.

Source: "Dockerfile reference" of Docker's documentation. What cannot be done as data is a step.
"""

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from ocibuild.core.asks import Origin, StepAsk
from ocibuild.core.errors import RepositoryError
from ocibuild.spec.dockerfile_words import expanded, split_words

__all__ = ["Appendix", "AppendixEffect", "parse_appendix"]

_PORT = re.compile(r"([0-9]{1,5})(?:/(tcp|udp|sctp))?")


class _Keyword(StrEnum):
    RUN = "RUN"
    ENV = "ENV"
    USER = "USER"
    LABEL = "LABEL"
    WORKDIR = "WORKDIR"
    EXPOSE = "EXPOSE"


@dataclass(frozen=True, slots=True)
class _Instruction:
    """``words`` are NAME=VALUE texts for ENV and LABEL, the program and its arguments for RUN, not yet expanded."""

    keyword: _Keyword
    words: tuple[str, ...]
    origin: Origin


@dataclass(frozen=True, slots=True)
class AppendixEffect:
    """What an image has because of an appendix.

    ``environment`` are the variables that it sets; ``user`` and ``working_folder`` are those at its end. ``steps`` run
    in their order after everything else.
    """

    user: str
    working_folder: str
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    ports: tuple[str, ...] = ()
    steps: tuple[StepAsk, ...] = ()


@dataclass(frozen=True, slots=True)
class Appendix:
    """The instructions, in their order."""

    instructions: tuple[_Instruction, ...] = ()

    def effect(
        self, *, environment: Mapping[str, str], arguments: Mapping[str, str], user: str, working_folder: str
    ) -> AppendixEffect:
        """What the instructions come to in an image with this environment, user and working folder.

        ``arguments`` are variables that the build knows and the image does not (``ARG``): NB_USER and the like. A
        RepositoryError names the line of a variable's form that is not known, or a port that is none.
        """
        following = _Following(dict(environment), dict(arguments), user, working_folder)
        for instruction in self.instructions:
            following.follow(instruction)
        return following.effect()


def parse_appendix(text: str, *, file: str) -> Appendix:
    """Read the instructions RUN, ENV, USER, LABEL, WORKDIR and EXPOSE.

    A RepositoryError names the line of any other, and of one that is malformed; ``file`` says where the text is from.
    """
    return Appendix(tuple(_instruction(line, Origin(file, number)) for number, line in _logical_lines(text)))


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their continuations (a final backslash) and without comments, each with its first line's number."""
    start, parts = 0, list[str]()
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("#") or (not line.strip()):
            continue  # inside a continued instruction too
        start = start if parts else number
        bare = line.rstrip()
        parts.append(bare.removesuffix("\\"))
        if not bare.endswith("\\"):
            yield start, "".join(parts).strip()
            parts = []
    if "".join(parts).strip():
        yield start, "".join(parts).strip()


def _instruction(line: str, origin: Origin) -> _Instruction:
    word, *others = line.split(maxsplit=1)
    try:
        keyword = _Keyword(word.upper())
    except ValueError as error:
        hint = f"known: {', '.join(_Keyword)}"
        raise _error(f"{word} cannot be followed in an appendix", origin, hint) from error
    if not others:
        raise _error(f"{keyword} without anything behind it", origin)
    match keyword:
        case _Keyword.RUN:
            words = _program(others[0], origin)
        case _Keyword.ENV | _Keyword.LABEL:
            words = _assignments(keyword, others[0], origin)
        case _Keyword.EXPOSE:
            words = tuple(split_words(others[0]))
        case _:
            words = (others[0],)
    return _Instruction(keyword, words, origin)


def _program(rest: str, origin: Origin) -> tuple[str, ...]:
    """The exec form, a JSON list, as it is; the shell form by way of a shell."""
    if rest.startswith("["):
        try:
            words = json.loads(rest)
        except json.JSONDecodeError:
            words = None  # a shell's own test program: [ -e x ] || ...
        if isinstance(words, list) and words and all(isinstance(word, str) for word in words):
            return tuple(words)
    if rest.startswith("--"):
        raise _error(f"RUN {rest.split(maxsplit=1)[0]}: options of RUN cannot be followed", origin)
    if re.search(r"<<-?\s*[\"']?[A-Za-z_]", rest):
        raise _error("a here-document cannot be followed", origin, "write the commands on one line, joined by &&")
    return ("/bin/sh", "-c", rest)


def _assignments(keyword: _Keyword, rest: str, origin: Origin) -> tuple[str, ...]:
    """``A=1 B="2 3"``, or the older form ``A 1 and all that follows``."""
    words = split_words(rest)
    if "=" not in words[0]:
        name, _, value = rest.partition(" ")
        if not value.strip():
            raise _error(f"{keyword} {name} has no value", origin, f"write {keyword} NAME=VALUE")
        return (f"{name}={value.strip()}",)
    for word in words:
        if not word.partition("=")[1] or word.startswith("="):
            raise _error(f"{word!r} is no NAME=VALUE", origin, "put a value with spaces between quotation marks")
    return tuple(words)


def _error(message: str, origin: Origin, hint: str | None = None) -> RepositoryError:
    return RepositoryError(message, file=origin.file, line=origin.line, hint=hint)


class _Following:
    """The state between two instructions."""

    def __init__(self, environment: dict[str, str], arguments: dict[str, str], user: str, working_folder: str) -> None:
        self._environment = environment
        self._arguments = arguments
        self._user = user
        self._working_folder = working_folder
        self._set: dict[str, str] = {}
        self._labels: dict[str, str] = {}
        self._ports: list[str] = []
        self._steps: list[StepAsk] = []

    def follow(self, instruction: _Instruction) -> None:
        origin = instruction.origin
        match instruction.keyword:
            case _Keyword.RUN:
                self._step(f"appendix line {origin.line}", instruction.words, origin)
            case _Keyword.ENV:
                changes = self._pairs(instruction)  # all values see the variables as they were before
                self._environment |= changes
                self._set |= changes
            case _Keyword.LABEL:
                self._labels |= self._pairs(instruction)
            case _Keyword.USER:
                self._user = self._expanded(instruction.words[0], origin)
            case _Keyword.WORKDIR:
                folder = self._expanded(instruction.words[0], origin)
                self._working_folder = posixpath.normpath(posixpath.join(self._working_folder, folder))
                self._step(f"make {self._working_folder}", ("mkdir", "-p", self._working_folder), origin, user="root")
            case _Keyword.EXPOSE:
                self._ports += [self._port(self._expanded(word, origin), origin) for word in instruction.words]

    def effect(self) -> AppendixEffect:
        return AppendixEffect(
            self._user,
            self._working_folder,
            MappingProxyType(self._set),
            MappingProxyType(self._labels),
            tuple(self._ports),
            tuple(self._steps),
        )

    def _step(self, name: str, arguments: tuple[str, ...], origin: Origin, *, user: str | None = None) -> None:
        """A step with the variables as they are now; what a later ENV adds is in the image's configuration too."""
        self._steps.append(
            StepAsk(
                name,
                arguments,
                origin,
                user=user or self._user,
                working_folder="/" if user else self._working_folder,
                environment=MappingProxyType({**self._arguments, **self._set}),
            )
        )

    def _pairs(self, instruction: _Instruction) -> dict[str, str]:
        pairs = (word.partition("=") for word in instruction.words)
        expand, origin = self._expanded, instruction.origin
        return {expand(name, origin): expand(value, origin) for name, _, value in pairs}

    def _expanded(self, text: str, origin: Origin) -> str:
        return expanded(text, {**self._arguments, **self._environment}, origin=origin)

    def _port(self, text: str, origin: Origin) -> str:
        found = _PORT.fullmatch(text)
        if found is None:
            raise _error(f"{text!r} is no port", origin, "write 8080 or 8080/udp")
        return f"{int(found[1])}/{found[2] or 'tcp'}"
