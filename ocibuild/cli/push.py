"""``ocibuild push``: an image from anywhere to a registry."""

import os
from typing import Any

import click

from ocibuild.cli.options import access_of, access_options, verbosity_of, verbosity_options
from ocibuild.cli.progress import rendering
from ocibuild.core.errors import UsageError
from ocibuild.core.reference import Reference
from ocibuild.store.store import Store
from ocibuild.work.copy import push_source

__all__ = ["command"]


@click.command(name="push")
@click.argument("source")
@click.argument("image")
@access_options
@verbosity_options
def command(*, source: str, image: str, json_logs: bool, quiet: bool, verbose: bool, **options: Any) -> None:
    """Push SOURCE to IMAGE (HOST/NAME:TAG), with every platform of an index, byte for byte.

    SOURCE is oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE, an image in the store, or another registry
    reference. What the registry has is not sent; layers are mounted across its repositories where they can be; the
    tag is written last. Prints the digest.
    """
    reference = Reference.parse(image)
    if reference.digest is not None:
        raise UsageError(f"{image}: an image is pushed to a tag, not to a digest", hint="write HOST/NAME:TAG")
    with rendering(verbosity_of(json_logs=json_logs, quiet=quiet, verbose=verbose)) as events:
        store = Store.of_environment(os.environ)
        access = access_of(options, reference)
        digest = push_source(source, reference, store=store, environment=os.environ, events=events, access=access)
    click.echo(str(digest))
