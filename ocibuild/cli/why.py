"""``ocibuild why``: why layers were made again, and what makes an image large."""

import contextlib
import json
import os
import re
from typing import Any

import click

from ocibuild.cli.options import access_of, access_options
from ocibuild.cli.progress import Verbosity, format_size, rendering
from ocibuild.core.errors import OcibuildError, UsageError
from ocibuild.image.image import read_image
from ocibuild.image.inspect import LayerReport, inspect_image
from ocibuild.store.image_source import StoreSource
from ocibuild.store.store import Store
from ocibuild.work.places import open_source, registry_reference
from ocibuild.work.why import Why, previous_source, why_image

__all__ = ["command"]

_DIGEST = re.compile(r"(sha256:)?[0-9a-f]{12,64}")
_MOST_LAYERS, _MOST_PACKAGES = 5, 4


@click.command(name="why")
@click.argument("what", metavar="IMAGE|LAYER")
@click.option("--against", metavar="IMAGE", help="What to compare with. Default: what had the same name before.")
@click.option("--json", "as_json", is_flag=True, help="As a JSON object.")
@access_options
def command(*, what: str, against: str | None, as_json: bool, **options: Any) -> None:
    """Tell why layers of IMAGE were made again, and what makes it large.

    IMAGE is what 'inspect' takes; one of the store is compared with what had its name before. LAYER is the digest of a
    layer, or its beginning: of an image in the store.
    """
    store = Store.of_environment(os.environ)
    layer = ""
    if _DIGEST.fullmatch(what):
        layer = what.removeprefix("sha256:")
        what = _image_with(store, layer)
    access = access_of(options, registry_reference(what))
    with contextlib.ExitStack() as stack:
        events = stack.enter_context(rendering(Verbosity(-1)))
        source = stack.enter_context(open_source(what, environment=os.environ, events=events, access=access))
        before = None
        if against is not None:
            before = stack.enter_context(open_source(against, environment=os.environ, events=events, access=access))
        elif isinstance(source, StoreSource):
            before = previous_source(store, source.name)
        found = why_image(source, before, events=events)
    if as_json:
        click.echo(json.dumps(_as_json(found, layer), indent=1))
        return
    _show_reasons(found, layer)
    _show_weights(found, layer)


def _image_with(store: Store, layer: str) -> str:
    """The name of an image in the store that has this layer; a UsageError where none has."""
    for image in sorted(store.images.all(), key=lambda image: image.name):
        source = StoreSource(store, image.descriptor, name=image.name)
        with contextlib.suppress(OcibuildError):  # an image of which something was evicted
            if any(each.digest.hex.startswith(layer) for each in inspect_image(read_image(source)).layers):
                return image.name
    raise UsageError(f"no image in the store has a layer {layer}", hint="'ocibuild inspect IMAGE' lists layers")


def _as_json(found: Why, layer: str) -> dict[str, Any]:
    reasons = [each.to_json() for each in found.reasons if each.layer.digest.hex.startswith(layer)]
    return {
        "image": str(found.report.image.manifest_document.descriptor.digest),
        "before": str(found.before.image.manifest_document.descriptor.digest) if found.before else None,
        "size_bytes": found.report.size_bytes,
        "layers": reasons,
        "weights": [
            {"digest": str(each.digest), "name": each.name, "size_bytes": each.size_bytes, "packages": dict(packages)}
            for each, packages in found.weights
            if each.digest.hex.startswith(layer)
        ],
    }


def _show_reasons(found: Why, layer: str) -> None:
    if found.before is None:
        click.echo("nothing to compare with: the store knows no earlier image of this name (see --against)")
        return
    reasons = [each for each in found.reasons if each.layer.digest.hex.startswith(layer)]
    new = [each for each in reasons if each.reason]
    for each in new:
        name = each.layer.name or each.layer.created_by
        click.echo(f"{each.layer.digest.hex[:12]}  {format_size(each.layer.size_bytes):>9}  {name}: {each.reason}")
    moved_bytes = sum(each.layer.size_bytes for each in new)
    before = found.before.image.manifest_document.descriptor.digest.hex[:12]
    click.echo(
        f"{len(new)} of {len(reasons)} layers are new since {before}: {format_size(moved_bytes)} of"
        f" {format_size(found.report.size_bytes)}"
    )


def _show_weights(found: Why, layer: str) -> None:
    click.echo()
    click.echo("largest layers, and packages as they are downloaded:")
    weights = [(each, packages) for each, packages in found.weights if each.digest.hex.startswith(layer)]
    for each, packages in weights[:_MOST_LAYERS]:
        share = 100 * each.size_bytes / max(1, found.report.size_bytes)
        click.echo(f"{each.digest.hex[:12]}  {format_size(each.size_bytes):>9}  {share:3.0f} %  {_name(each)}")
        for name, size_bytes in packages[:_MOST_PACKAGES]:
            click.echo(f"{'':14}{format_size(size_bytes):>9}         {name}")


def _name(layer: LayerReport) -> str:
    return layer.name or layer.created_by or "?"
