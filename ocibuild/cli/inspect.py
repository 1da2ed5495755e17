"""``ocibuild inspect``: what an image holds."""

import json
import os
from typing import Any

import click

from ocibuild.cli.options import access_of, access_options
from ocibuild.cli.progress import Verbosity, format_size, rendering
from ocibuild.core.platform import Platform
from ocibuild.image.image import read_image, read_images
from ocibuild.image.inspect import ImageReport, inspect_image
from ocibuild.work.places import open_source, registry_reference

__all__ = ["command"]

_MOST_NAMES = 4


@click.command(name="inspect")
@click.argument("image")
@click.option("--platform", metavar="OS/ARCH", help="Only the image for this platform.")
@click.option("--json", "as_json", is_flag=True, help="As a JSON list, one object a platform.")
@click.option("--packages", is_flag=True, help="Every package of every layer, not only a few.")
@access_options
def command(*, image: str, platform: str | None, as_json: bool, packages: bool, **options: Any) -> None:
    """Show the layers, packages and configuration of IMAGE; no layer is read.

    IMAGE is oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE, the name of an image in the store, or a registry
    reference.
    """
    access = access_of(options, registry_reference(image))
    with (
        rendering(Verbosity(-1)) as events,
        open_source(image, environment=os.environ, events=events, access=access) as source,
    ):
        images = (read_image(source, Platform.parse(platform)),) if platform else read_images(source)
        reports = [inspect_image(each) for each in images]
    if as_json:
        click.echo(json.dumps([report.to_json() for report in reports], indent=1))
        return
    for number, report in enumerate(reports):
        if number:
            click.echo()
        _show(report, every_package=packages)


def _show(report: ImageReport, *, every_package: bool) -> None:
    config = report.image.config
    facts = {
        "image": report.image.name,
        "digest": str(report.image.manifest_document.descriptor.digest),
        "platform": str(config.platform),
        "created": config.created,
        "size": f"{format_size(report.size_bytes)} in {len(report.layers)} layers",
        "user": config.user or "root",
        "folder": config.working_folder or "/",
        "runs": " ".join([*(config.entrypoint or ()), *(config.command or ())]),
    }
    for name, text in facts.items():
        if text:
            click.echo(f"{name + ':':10}{text}")
    click.echo()
    click.echo(f"{'layer':14}{'size':>10}  what")
    for layer in report.layers:
        name = layer.name or layer.created_by or "?"
        click.echo(f"{layer.digest.hex[:12]:14}{format_size(layer.size_bytes):>10}  {name}")
        listed = layer.packages if every_package else layer.packages[:_MOST_NAMES]
        for package in listed:
            click.echo(f"{'':26}{package}")
        if len(listed) < len(layer.packages):
            click.echo(f"{'':26}and {len(layer.packages) - len(listed)} more")
