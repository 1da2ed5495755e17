"""repo2docker's argument list (its ``__main__.py``), as a value.

Read with argparse as repo2docker does, since BinderHub relies on it: an option may be shortened (``--image=``) as long
as it stays unique.
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from ocibuild.core.errors import UsageError

__all__ = ["Arguments", "parse_arguments"]

_TRAIT = re.compile(r"--([A-Z]\w*)\.(\w+)=(.*)", re.DOTALL)
_WITHOUT_MEANING = {
    "cache_from": "--cache-from: what was made before is found by its content",
    "engine": "--engine: there is no container engine",
    "build_arg": "--build-arg: no Dockerfile is built",
    "build_memory_limit": "--build-memory-limit: repo2docker has no such option any more",
    "publish_all": "--publish-all: ports are the machine's own",
    "publish": "--publish: ports are the machine's own",
    "clean": "--clean: there is no clone to keep or remove",
}
_TRAITS = {
    "base_image": "base_image",
    "platform": "platform",
    "appendix": "appendix",
    "subdir": "subdir",
    "ref": "ref",
    "user_name": "user_name",
    "user_id": "user_id",
    "target_repo_dir": "target_repo_dir",
    "output_image_spec": "image_name",
}
"""Traits of the class Repo2Docker, and the arguments that they are; those of the command line win."""
_TRAITS_WITHOUT_MEANING = "{}: it is about Docker, or about how repo2docker works inside"


@dataclass(frozen=True, slots=True)
class Arguments:
    """What repo2docker was told. ``unused`` are sentences on what has no meaning here.

    ``base_image`` and ``platform`` are traits (``--Repo2Docker.base_image=``), ``None`` where they are not set.
    """

    repository: str
    command: tuple[str, ...] = ()
    ref: str | None = None
    image_name: str | None = None
    subdir: str | None = None
    target_repo_dir: str | None = None
    user_id: int | None = None
    user_name: str | None = None
    appendix: str | None = None
    labels: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    is_editable: bool = False
    builds: bool = True
    runs: bool = True
    pushes: bool = False
    json_logs: bool = False
    is_debug: bool = False
    config_file: str | None = None
    base_image: str | None = None
    platform: str | None = None
    unused: tuple[str, ...] = ()

    def with_traits(self, traits: Mapping[str, str], *, written: str) -> "Arguments":
        """These with what traits (``Repo2Docker.base_image`` -> text) set and nothing set before.

        ``written`` is the form of a trait where it was found, with ``{}`` for its name, for what has no meaning. A
        UsageError for a user id that is none.
        """
        values: dict[str, Any] = {}
        unused = []
        for name, text in traits.items():
            argument = _TRAITS.get(name.removeprefix("Repo2Docker."), "")
            if not argument:
                unused.append(_TRAITS_WITHOUT_MEANING.format(written.format(name)))
            elif argument == "user_id" and not text.isdecimal():
                raise UsageError(f"{written.format(name)}: {text!r} is no user id")
            elif getattr(self, argument) is None:
                values[argument] = int(text) if argument == "user_id" else text
        return replace(self, **values, unused=(*self.unused, *unused))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint="see 'ocibuild repo2docker --help'")


def parse_arguments(words: Sequence[str]) -> Arguments:
    """Read the words behind ``repo2docker``; a UsageError where they make no sense, as argparse has it.

    Raises SystemExit for ``--help``, whose text argparse writes.
    """
    words, traits = _without_traits(words)
    values = vars(_parser().parse_args(words))
    unused = [why for name, why in _WITHOUT_MEANING.items() if values.pop(name) not in (None, False, [])]
    builds, runs, pushes = values["builds"], values["runs"], values["pushes"]
    if values["command"] and not runs:
        raise UsageError("a command is given, and --no-run", hint="leave one of them out")
    if values["volumes"] and not runs:
        raise UsageError("--volume needs a run", hint="leave --no-run out")
    return Arguments(
        repository=values["repository"],
        command=tuple(values["command"]),
        ref=values["ref"],
        image_name=values["image_name"],
        subdir=values["subdir"],
        target_repo_dir=values["target_repo_dir"],
        user_id=values["user_id"],
        user_name=values["user_name"],
        appendix=values["appendix"],
        labels=tuple(values["labels"]),
        environment=tuple(values["environment"]),
        volumes=tuple(values["volumes"]),
        is_editable=values["is_editable"],
        builds=builds,
        runs=runs and builds,
        pushes=pushes and builds,
        json_logs=values["json_logs"],
        is_debug=values["is_debug"],
        config_file=values["config_file"],
        unused=tuple(unused),
    ).with_traits(traits, written="--{}")


def _without_traits(words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The words that are no traits (``--Class.name=value``), and the traits; nothing behind the repository is one."""
    rest: list[str] = []
    traits: dict[str, str] = {}
    for word in words:
        found = _TRAIT.fullmatch(word)
        if found:
            traits[f"{found[1]}.{found[2]}"] = found[3]
        else:
            rest.append(word)
    return rest, traits


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="ocibuild repo2docker",
        description="Build the image that repo2docker would build, with its arguments and its log, without Docker.",
    )
    add = parser.add_argument
    add("--config", dest="config_file", help="repo2docker_config.py: only assignments of texts to c.Class.name count")
    add("--json-logs", dest="json_logs", action="store_true", help="log as JSON lines")
    add("--image-name", dest="image_name", help="name of the image")
    add("--ref", help="branch, tag or commit")
    add("--debug", dest="is_debug", action="store_true", help="tell more")
    add("--no-build", dest="builds", action="store_false", help="show the plan only")
    add("--build", dest="builds", action="store_true", default=True)
    add("--no-run", dest="runs", action="store_false", help="do not run the image")
    add("--run", dest="runs", action="store_true", default=True)
    add("--publish", "-p", action="append", default=[], help="without meaning")
    add("--publish-all", "-P", dest="publish_all", action="store_true", help="without meaning")
    add("--no-clean", dest="no_clean", action="store_true", help="without meaning")
    add("--clean", action="store_true", help="without meaning")
    add("--push", dest="pushes", action="store_true", help="push the image")
    add("--no-push", dest="pushes", action="store_false")
    add("--volume", "-v", dest="volumes", action="append", default=[], help="SRC:DEST for the run")
    add("--editable", "-E", dest="is_editable", action="store_true", help="run with the repository's own folder")
    add("--user-id", dest="user_id", type=int, help="id of the image's user")
    add("--user-name", dest="user_name", help="name of the image's user")
    add("--env", "-e", dest="environment", action="append", default=[], help="NAME[=VALUE] for the run")
    add("--target-repo-dir", dest="target_repo_dir", help="where the repository goes in the image")
    add("--appendix", help="text of a Dockerfile to follow at the end")
    add("--label", dest="labels", action="append", default=[], help="NAME=VALUE")
    add("--build-arg", dest="build_arg", action="append", default=[], help="without meaning")
    add("--build-memory-limit", dest="build_memory_limit", help="without meaning")
    add("--subdir", help="folder of the repository to build")
    add("--cache-from", dest="cache_from", action="append", default=[], help="without meaning")
    add("--engine", help="without meaning")
    add("repository", help="folder, URL, DOI, ...")
    add("command", nargs=argparse.REMAINDER, help="what to run in the image")
    return parser
