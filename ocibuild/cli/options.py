"""The options of a build on the command line, shared by ``build`` and ``plan``."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ocibuild.cli.progress import Verbosity
from ocibuild.core.errors import UsageError
from ocibuild.core.platform import Platform
from ocibuild.core.reference import Reference
from ocibuild.layer.compression import Compression
from ocibuild.spec.options import (
    MOST_JOBS,
    MOST_LAYERS,
    PROFILES,
    SANDBOXES,
    USER_IDS,
    BuildOptions,
    parse_age,
    parse_archspec,
    parse_cache,
    parse_cuda,
    parse_date,
    parse_folder,
    parse_python,
    parse_secret,
    parse_size,
    parse_user_name,
)

if TYPE_CHECKING:
    from ocibuild.work.access import RegistryAccess

__all__ = ["access_of", "access_options", "build_options", "build_options_of", "verbosity_of", "verbosity_options"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


class _Parsed(click.ParamType):  # type: ignore[type-arg] # generic only since click 8.4
    """A value that one of our own parsers reads; its error becomes click's."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except UsageError as error:
            self.fail(error.message + (f" ({error.hint})" if error.hint else ""), param, ctx)


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise UsageError(f"{text!r} is no NAME=VALUE")
    return name, value


_OPTIONS = (
    click.option("-t", "--image", "images", multiple=True, metavar="IMAGE", help="Name of the image: HOST/NAME:TAG."),
    click.option(
        "-o",
        "--output",
        "outputs",
        multiple=True,
        metavar="TYPE:PATH",
        help="Where to write it: oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE, rootfs:DIR.",
    ),
    click.option("--push", is_flag=True, help="Push each IMAGE to its registry."),
    click.option(
        "--base",
        metavar="BASE",
        help="apt:bookworm (default), apt:trixie, a registry reference, oci:DIR[:TAG], or scratch.",
    ),
    click.option(
        "--platform",
        "platforms",
        multiple=True,
        type=_Parsed("platform", Platform.parse),
        help="linux/amd64, linux/arm64, ...; two or more make an index. Default: this machine's.",
    ),
    click.option(
        "--profile",
        type=click.Choice(PROFILES),
        help="What the image is for: binder (default) has Jupyter and all that Binder's images have; plain has not.",
    ),
    click.option("--compose", is_flag=True, help="Add up all configuration files, not only those that Binder takes."),
    click.option(
        "--bytecode/--no-bytecode",
        default=None,
        help="Whether modules of Python packages are compiled, which makes starting quick. Default: they are not.",
    ),
    click.option(
        "--python",
        type=_Parsed("version", parse_python),
        help="The Python of the image: 3.13. Default: what the repository asks for, else the base's.",
    ),
    click.option(
        "--layer",
        "layer_folders",
        multiple=True,
        metavar="DIR",
        help="A folder with a layer.toml to add, or the name of a layer that ships: buildpack, tools, ...",
    ),
    click.option("--lock", metavar="FILE", help="Where to write what was resolved; the lock that --locked reads."),
    click.option(
        "--locked",
        is_flag=True,
        help="Take every version from the lock (default: ocibuild.lock in SOURCE); fail where it does not fit.",
    ),
    click.option("--refresh", is_flag=True, help="Ask the mirrors and indexes again, however fresh the last answers."),
    click.option(
        "--max-age",
        "max_age_seconds",
        type=_Parsed("age", parse_age),
        help="How old an earlier resolution may be: 24h (default), 0, 7d.",
    ),
    click.option("--as-of", type=_Parsed("date", parse_date), help="Resolve as of this day: 2026-01-31."),
    click.option(
        "--cuda",
        type=_Parsed("version", parse_cuda),
        help="The newest CUDA that the driver will support, for conda packages: 12.4. Default: none.",
    ),
    click.option(
        "--archspec",
        type=_Parsed("name", parse_archspec),
        help="The processor that conda packages may rely on: x86_64_v3. Default: what every one of the platform has.",
    ),
    click.option("--pip-overrides", is_flag=True, help="Let pip replace packages of the conda environment."),
    click.option(
        "--compression",
        type=click.Choice([compression.value for compression in Compression]),
        help="Of new layers. Default: zstd; gzip for Docker before 23 and umoci.",
    ),
    click.option(
        "--max-layers",
        type=click.IntRange(MOST_LAYERS[0], MOST_LAYERS[-1]),
        help="The most layers on top of the base. Default: 22.",
    ),
    click.option(
        "--memory", "memory_bytes", type=_Parsed("size", parse_size), help="How much to hold in memory. Default: 300M."
    ),
    click.option(
        "--jobs", type=click.IntRange(MOST_JOBS[0], MOST_JOBS[-1]), help="Layers worked on at once. Default: the cores."
    ),
    click.option(
        "--env", "environment", multiple=True, type=_Parsed("assignment", _assignment), help="A variable of the image."
    ),
    click.option(
        "--label", "labels", multiple=True, type=_Parsed("assignment", _assignment), help="A label of the image."
    ),
    click.option(
        "--sandbox",
        type=click.Choice(SANDBOXES),
        help="What runs the repository's code (see doctor). Default: auto, the first that works here.",
    ),
    click.option(
        "--secret",
        "step_secrets",
        multiple=True,
        type=_Parsed("secret", parse_secret),
        metavar="ID=PATH",
        help="A file that steps find at /run/secrets/ID; it is in no layer, log or key.",
    ),
    click.option(
        "--step-timeout",
        "step_timeout_seconds",
        type=_Parsed("age", parse_age),
        help="End a step that takes longer: 30m. Default: never.",
    ),
    click.option(
        "--skip-steps-on",
        "skip_steps_on",
        multiple=True,
        metavar="PLATFORM",
        type=_Parsed("platform", Platform.parse),
        help="Leave out what would have to run for this platform.",
    ),
    click.option("--debug-step", is_flag=True, help="Start a shell in the image where a step fails."),
)
_CACHE = (
    click.option(
        "--cache",
        "caches",
        multiple=True,
        type=_Parsed("repository", parse_cache),
        metavar="HOST/NAME",
        help="A repository of a registry with what was made before; the first one of several comes first.",
    ),
    click.option(
        "--cache-mode",
        type=click.Choice(("ro", "rw")),
        help="ro (default) reads caches; rw writes to the first, which whoever reads it has to trust.",
    ),
    click.option("--no-cache", is_flag=True, help="Use no shared cache, and nothing that one has told before."),
    click.option("--cache-username", help="User for the registry of the first cache; with --cache-password-file."),
    click.option("--cache-password-file", type=click.Path(path_type=Path), help="File that holds the password."),
)
_PLACES = (
    click.option("--user-name", type=_Parsed("name", parse_user_name), help="The image's user. Default: jovyan."),
    click.option(
        "--user-id", type=click.IntRange(USER_IDS[0], USER_IDS[-1]), help="The user's id and group. Default: 1000."
    ),
    click.option(
        "--target-repo-dir",
        "repository_folder",
        type=_Parsed("folder", parse_folder),
        help="Where the repository goes in the image. Default: the user's home.",
    ),
    click.option("--appendix", metavar="TEXT", help="Instructions of a Dockerfile to follow at the end: RUN, ENV, ..."),
)
_ACCESS = (
    click.option(
        "--ca", "ca_file", type=click.Path(path_type=Path), help="Authorities to trust instead of the machine's."
    ),
    click.option("--insecure", multiple=True, metavar="HOST[:PORT]", help="May speak http, or show any certificate."),
    click.option(
        "--registry-secret",
        "secrets",
        multiple=True,
        type=click.Path(path_type=Path),
        help="A mounted Kubernetes secret with logins (dockerconfigjson), a file or a folder.",
    ),
    click.option("--username", help="User for the registry of IMAGE; with --password-file."),
    click.option("--password-file", type=click.Path(path_type=Path), help="File that holds the password."),
)
_VERBOSITY = (
    click.option("--json-logs", is_flag=True, help="Progress as JSON lines."),
    click.option("-q", "--quiet", is_flag=True, help="No progress, warnings only."),
    click.option("-v", "--verbose", is_flag=True, help="A line for every package and layer."),
)


def build_options(command: _Command) -> _Command:
    """Add the options of a build to a click command."""
    for option in reversed((*_OPTIONS, *_CACHE, *_PLACES)):
        command = option(command)
    return command


def verbosity_options(command: _Command) -> _Command:
    """Add the options of how much is told."""
    for option in reversed(_VERBOSITY):
        command = option(command)
    return command


def access_options(command: _Command) -> _Command:
    """Add the options of reaching registries."""
    for option in reversed(_ACCESS):
        command = option(command)
    return command


def access_of(values: dict[str, Any], target: Reference | None) -> "RegistryAccess | None":
    """Take what is said of registries out of the command line's values; None where nothing is.

    ``target`` is the image that a user name and password are for.
    """
    names = ("ca_file", "insecure", "secrets", "username", "password_file")
    said = {name: values.pop(name) for name in names}
    if not any(said.values()):
        return None
    from ocibuild.work.access import RegistryAccess  # noqa: PLC0415 - a build with nothing to do asks no registry

    return RegistryAccess.said(**said, target=target)


def verbosity_of(*, json_logs: bool, quiet: bool, verbose: bool) -> Verbosity:
    """The verbosity that these flags ask for."""
    return Verbosity(-1 if quiet else int(verbose), json_logs)


def build_options_of(values: dict[str, Any]) -> BuildOptions:
    """The options that click read from the command line."""
    as_of: date | None = values["as_of"]
    return BuildOptions(
        **{
            **values,
            "as_of": as_of,
            "compression": Compression(values["compression"]) if values["compression"] else None,
            "environment": MappingProxyType(dict(values["environment"])),
            "labels": MappingProxyType(dict(values["labels"])),
        }
    )
