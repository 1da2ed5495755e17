"""``ocibuild check``: is an image whole and sound?"""

import json
import os
from typing import Any

import click

from ocibuild.cli.options import access_of, access_options, verbosity_of, verbosity_options
from ocibuild.cli.progress import rendering
from ocibuild.core.errors import ImageError
from ocibuild.image.check import check_image
from ocibuild.image.finding import Severity
from ocibuild.work.places import open_source, registry_reference

__all__ = ["command"]


@click.command(name="check")
@click.argument("image")
@click.option("--json", "as_json", is_flag=True, help="The findings as a JSON list.")
@access_options
@verbosity_options
def command(*, image: str, as_json: bool, json_logs: bool, quiet: bool, verbose: bool, **options: Any) -> None:
    """Read IMAGE to its end and report what is wrong with it.

    IMAGE is oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE, the name of an image in the store, or a registry
    reference. Sizes, digests, diff_ids, counts, media types and every entry of every layer are checked. Ends with 1
    where there is an error.
    """
    access = access_of(options, registry_reference(image))
    with (
        rendering(verbosity_of(json_logs=json_logs, quiet=quiet, verbose=verbose)) as events,
        open_source(image, environment=os.environ, events=events, access=access) as source,
    ):
        findings = check_image(source, events=events)
    if as_json:
        click.echo(
            json.dumps([{"severity": f.severity.value, "where": f.where, "what": f.what} for f in findings], indent=1)
        )
    else:
        for finding in findings:
            click.echo(f"{finding.severity.value}: {finding.where}: {finding.what}")
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if errors:
        raise ImageError(f"{image}: {len(errors)} error{'s' if len(errors) > 1 else ''} found")
    if not as_json:
        click.echo(f"{image} is sound")
