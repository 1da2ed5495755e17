"""``ocibuild cache``: the local store."""

import json
import os
import time
from pathlib import Path

import click

from ocibuild.cli.progress import format_size
from ocibuild.core.errors import UsageError
from ocibuild.spec.options import parse_age, parse_size
from ocibuild.store.eviction import prune, usage
from ocibuild.store.store import Store

__all__ = ["command"]


@click.group(name="cache")
def command() -> None:
    """List, measure and prune what the local store holds.

    The store is $OCIBUILD_STORE, else ocibuild in the user's cache folder. It holds downloaded packages, layers,
    resolutions and images, and can be removed at any time: what is missing is made again.
    """


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="As a JSON list.")
def list_images(*, as_json: bool) -> None:
    """List the images in the store."""
    store = Store.of_environment(os.environ)
    images = sorted(store.images.all(), key=lambda image: image.name)
    if as_json:
        click.echo(json.dumps([{"name": image.name, "digest": str(image.descriptor.digest)} for image in images]))
        return
    for image in images:
        click.echo(f"{image.descriptor.digest.hex[:12]}  {image.name}")


@command.command()
@click.option("--json", "as_json", is_flag=True, help="As a JSON object.")
def size(*, as_json: bool) -> None:
    """Show where the store is and how large."""
    store = Store.of_environment(os.environ)
    used = usage(store.folder)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "folder": str(store.folder),
                    "blobs": {"count": used.blob_count, "size_bytes": used.blob_bytes},
                    "records": {"count": used.record_count, "size_bytes": used.record_bytes},
                    "roots": {"count": used.root_count, "size_bytes": used.root_bytes},
                }
            )
        )
        return
    click.echo(f"{store.folder}")
    click.echo(f"{format_size(used.blob_bytes)} in {used.blob_count} blobs (packages, layers, tables)")
    click.echo(f"{format_size(used.record_bytes)} in {used.record_count} records")
    click.echo(f"about {format_size(used.root_bytes)} in {used.root_count} idle roots, which steps run in")


@command.command(name="prune")
@click.option("--size", "size_text", metavar="SIZE", help="Keep at most this much: 10G.")
@click.option("--age", "age_text", metavar="AGE", help="Remove what was not used for this long: 30d.")
def prune_store(*, size_text: str | None, age_text: str | None) -> None:
    """Remove what was not used for longest, but nothing used within the last hour."""
    if size_text is None and age_text is None:
        raise UsageError("nothing says what to keep", hint="give --size 10G, --age 30d or both")
    store = Store.of_environment(os.environ)
    evicted = prune(
        store.folder,
        now=time.time(),
        limit_bytes=parse_size(size_text) if size_text else None,
        most_age_seconds=parse_age(age_text) if age_text else None,
        remove_root=_remove_root,
    )
    click.echo(f"removed {len(evicted)} files, {format_size(sum(file.size_bytes for file in evicted))}")


def _remove_root(path: Path) -> None:
    from ocibuild.sandbox.prepared_root import remove_prepared  # noqa: PLC0415 - only where there is a root to remove

    remove_prepared(path)
