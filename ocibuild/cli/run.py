"""``ocibuild run``: an image's program, here and without a container runtime."""

import os
import shlex
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from ocibuild.cli.options import access_of, access_options
from ocibuild.cli.progress import Verbosity, rendering
from ocibuild.core.errors import UsageError
from ocibuild.core.events import Notice
from ocibuild.sandbox.ladder import AUTOMATIC, RUNG_NAMES
from ocibuild.store.store import Store
from ocibuild.work.places import registry_reference
from ocibuild.work.run import RunRequest, parse_mount, parse_variable, read_variables, run_image

__all__ = ["command"]


@click.command(name="run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("image")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[CMD...]")
@click.option(
    "-e", "--env", "variables", multiple=True, metavar="NAME[=VALUE]", help="A variable; without a value, yours."
)
@click.option(
    "--env-file", "files", multiple=True, type=click.Path(path_type=Path), metavar="FILE", help="Variables, one a line."
)
@click.option(
    "-v", "--volume", "mounts", multiple=True, metavar="SRC:DST[:ro]", help="A file or folder of this machine."
)
@click.option("-w", "--workdir", "working_folder", metavar="DIR", help="Where it runs. Default: as the image says.")
@click.option("-u", "--user", metavar="USER[:GROUP]", help="As whom: names of the image, or numbers.")
@click.option("--entrypoint", metavar="PROGRAM", help="Instead of the image's entrypoint and command; '' for none.")
@click.option("--network/--no-network", default=True, help="Whether it has the network. Default: this machine's.")
@click.option("--sandbox", type=click.Choice([AUTOMATIC, *RUNG_NAMES]), default=AUTOMATIC, help="How it is run.")
@click.option("--verbose", is_flag=True, help="Say what is done, and what this way of running cannot do.")
@access_options
def command(*, image: str, arguments: tuple[str, ...], verbose: bool, **options: Any) -> None:
    """Run CMD, or what IMAGE says, in IMAGE, on this machine's terminal, and exit with its exit code.

    IMAGE is the name of an image in the store, oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE, or a registry
    reference. Ports are this machine's. What is written is thrown away, except to what -v mounts.
    """
    access = access_of(options, registry_reference(image))
    with rendering(Verbosity(1 if verbose else -1)) as events:
        store = Store.of_environment(os.environ)
        if store.notice:
            events(Notice(store.notice))
        code = run_image(
            _request(image, arguments, **options), store=store, environment=os.environ, events=events, access=access
        )
    sys.exit(code)


def _request(
    image: str,
    arguments: tuple[str, ...],
    *,
    variables: tuple[str, ...],
    files: tuple[Path, ...],
    mounts: tuple[str, ...],
    entrypoint: str | None,
    **options: Any,
) -> RunRequest:
    said: dict[str, str] = {}
    for file in files:
        said |= read_variables(file, os.environ)
    said |= dict(each for text in variables if (each := parse_variable(text, os.environ)) is not None)
    return RunRequest(
        image,
        arguments,
        entrypoint=None if entrypoint is None else _words(entrypoint),
        environment=MappingProxyType(said),
        mounts=tuple(map(parse_mount, mounts)),
        **options,
    )


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"--entrypoint: {error}: {text!r}", hint="quote it as a shell wants it") from error
