"""``ocibuild build``: from a repository to an image."""

import json
import os
from typing import Any

import click

from ocibuild.cli.options import (
    access_of,
    access_options,
    build_options,
    verbosity_of,
    verbosity_options,
)
from ocibuild.cli.progress import rendering
from ocibuild.cli.source import opened_request, source_options
from ocibuild.core.events import Notice
from ocibuild.core.reference import Reference
from ocibuild.store.store import Store
from ocibuild.work.building import build

__all__ = ["command"]


@click.command(name="build")
@source_options
@build_options
@access_options
@click.option("--json", "as_json", is_flag=True, help="The result as a JSON object.")
@verbosity_options
def command(*, source: str, as_json: bool, json_logs: bool, quiet: bool, verbose: bool, **options: Any) -> None:
    """Build an image from the repository SOURCE: a folder (default: the current one), a git URL, a DOI.

    Reads the files that Binder reads (apt.txt, requirements.txt, postBuild, ...), at the top or in binder/, and
    ocibuild.toml. Prints the image's digest. Without --output the image stays in the store, under its IMAGE name or the
    folder's name.
    """
    with rendering(verbosity_of(json_logs=json_logs, quiet=quiet, verbose=verbose)) as events:
        store = Store.of_environment(os.environ)
        if store.notice:
            events(Notice(store.notice))
        images = options["images"]
        access = access_of(options, Reference.parse(images[0]) if images else None)
        with opened_request(source, options, store=store, events=events, access=access) as request:
            outcome = build(request, store=store, environment=os.environ, events=events)
    descriptor = outcome.descriptor
    if as_json:
        result = {
            "digest": str(descriptor.digest),
            "media_type": descriptor.media_type,
            "images": [str(image) for image in request.images],
            "outputs": [str(output) for output in request.outputs],
            "pushed": request.options.push,
            "is_new": outcome.is_new,
        }
        click.echo(json.dumps(result))
    else:
        click.echo(str(descriptor.digest))
