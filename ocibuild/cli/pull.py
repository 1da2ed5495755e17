"""``ocibuild pull``: an image from a registry to this machine."""

import os
from typing import Any

import click

from ocibuild.cli.options import access_of, access_options, verbosity_of, verbosity_options
from ocibuild.cli.progress import rendering
from ocibuild.core.platform import Platform
from ocibuild.core.reference import Reference
from ocibuild.store.store import Store
from ocibuild.work.copy import pull_image
from ocibuild.work.outputs import Output

__all__ = ["command"]


@click.command(name="pull")
@click.argument("image")
@click.option("-o", "--output", "outputs", multiple=True, metavar="TYPE:PATH", help="As of build. Default: the store.")
@click.option("--platform", metavar="OS/ARCH", help="For outputs that hold one image. Default: the only one.")
@access_options
@verbosity_options
def command(
    *,
    image: str,
    outputs: tuple[str, ...],
    platform: str | None,
    json_logs: bool,
    quiet: bool,
    verbose: bool,
    **options: Any,
) -> None:
    """Copy IMAGE (HOST/NAME:TAG or HOST/NAME@DIGEST) from its registry, verified. Prints the digest.

    It is kept in the store under its name, and written to each --output.
    """
    with rendering(verbosity_of(json_logs=json_logs, quiet=quiet, verbose=verbose)) as events:
        reference = Reference.parse(image)
        digest = pull_image(
            reference,
            tuple(map(Output.parse, outputs)),
            platform=Platform.parse(platform) if platform else None,
            store=Store.of_environment(os.environ),
            environment=os.environ,
            events=events,
            access=access_of(options, reference),
        )
    click.echo(str(digest))
