"""``ocibuild cache``: the local store, and caches kept in registries."""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ocibuild.cli.options import access_of, access_options
from ocibuild.cli.progress import Verbosity, format_size, rendering
from ocibuild.core.errors import UsageError
from ocibuild.core.reference import Reference
from ocibuild.spec.options import BuildOptions, parse_age, parse_size
from ocibuild.store.eviction import prune, usage
from ocibuild.store.store import Store
from ocibuild.work.cache_settings import CacheSettings, cache_name
from ocibuild.work.shared_cache import USE_KIND

if TYPE_CHECKING:
    from ocibuild.work.remote import Remote

__all__ = ["command", "opened_caches"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


def cache_options(command: _Command) -> _Command:
    """Add the options of naming caches and reaching them."""
    named = click.option("--cache", "caches", multiple=True, metavar="HOST/NAME", help="A cache kept in a registry.")
    return named(access_options(command))


class _Commands(click.Group):
    """Imports the audit, which needs all of a build, only where it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), "audit"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name != "audit":
            return super().get_command(ctx, cmd_name)
        from ocibuild.cli.cache_audit import command as audit  # noqa: PLC0415 - see the class

        return audit


@click.group(name="cache", cls=_Commands, invoke_without_command=True)
@click.pass_context
@cache_options
def command(context: click.Context, /, caches: tuple[str, ...], **options: Any) -> None:
    """Show, prune and audit what was made before: in the local store, and in caches kept in registries.

    Without a command: how large the store is, what each --cache (or OCIBUILD_CACHE) holds, and what caches have saved.
    The store is $OCIBUILD_STORE, else ocibuild in the user's cache folder. It holds downloaded packages, layers,
    resolutions and images, and can be removed at any time: what is missing is made again.
    """
    if context.invoked_subcommand is not None:
        if caches or any(options.values()):
            raise UsageError(
                "options of a command stand behind it", hint="write ocibuild cache prune --cache HOST/NAME"
            )
        return
    store = Store.of_environment(os.environ)
    _show_size(store)
    for found in sorted(_uses(store), key=lambda use: str(use.get("caches"))):
        click.echo(
            f"{', '.join(found['caches'])}: {found['hits']} of {found['hits'] + found['misses']} questions answered,"
            f" {found['layers']} layers of {format_size(found['saved_bytes'])} not made here,"
            f" {format_size(found['written_bytes'])} written"
        )
    with opened_caches(caches, options) as (places, remote):
        for place in places:
            _show_cache(place, remote)


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
    _show_size(store)


def _show_size(store: Store) -> None:
    used = usage(store.folder)
    click.echo(f"{store.folder}")
    click.echo(f"{format_size(used.blob_bytes)} in {used.blob_count} blobs (packages, layers, tables)")
    click.echo(f"{format_size(used.record_bytes)} in {used.record_count} records")
    click.echo(f"about {format_size(used.root_bytes)} in {used.root_count} idle roots, which steps run in")


@command.command(name="prune")
@click.option("--size", "size_text", metavar="SIZE", help="Keep at most this much: 10G.")
@click.option("--age", "age_text", metavar="AGE", help="Remove what was not used for this long: 30d.")
@cache_options
def prune_store(*, size_text: str | None, age_text: str | None, caches: tuple[str, ...], **options: Any) -> None:
    """Remove what was not used for longest, but nothing used within the last hour.

    With --cache HOST/NAME from that cache instead, where age is the time since an entry was written; the registry frees
    the blobs when it collects its garbage.
    """
    if size_text is None and age_text is None:
        raise UsageError("nothing says what to keep", hint="give --size 10G, --age 30d or both")
    if caches:
        _prune_caches(caches, options, size_text, age_text)
        return
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


def _prune_caches(
    caches: tuple[str, ...], options: dict[str, Any], size_text: str | None, age_text: str | None
) -> None:
    from ocibuild.work.cache_admin import prune_cache  # noqa: PLC0415 - only here is a registry talked to

    with opened_caches(caches, options) as (places, remote):
        for place in places:
            removed, freed_bytes = prune_cache(
                place,
                remote,
                limit_bytes=parse_size(size_text) if size_text else None,
                most_age_seconds=parse_age(age_text) if age_text else None,
            )
            click.echo(f"{cache_name(place)}: removed {len(removed)} entries, {format_size(freed_bytes)}")


def _show_cache(place: Reference, remote: "Remote") -> None:
    from ocibuild.work.cache_admin import survey  # noqa: PLC0415 - only here is a registry talked to

    found = survey(place, remote)
    kinds = ", ".join(f"{count} {kind}" for kind, count in found.kinds.items())
    click.echo(f"{found.name}: {format_size(found.size_bytes)} in {len(found.entries)} entries ({kinds or 'none'})")
    if found.others:
        click.echo(f"{found.name}: {len(found.others)} tags that are no entries of a cache")


def _uses(store: Store) -> Iterator[dict[str, Any]]:
    for key in store.records.keys(USE_KIND):
        value = store.records.get(USE_KIND, key)
        if isinstance(value, dict):
            yield value


@contextlib.contextmanager
def opened_caches(caches: tuple[str, ...], options: dict[str, Any]) -> Iterator[tuple[list[Reference], "Remote"]]:
    """The caches that the command line or the environment names, and connections to them."""
    settings = CacheSettings.of(BuildOptions(caches=caches), BuildOptions(), os.environ)
    places = list(settings.places) if settings is not None else []
    from ocibuild.work.remote import open_remote  # noqa: PLC0415 - HTTP is imported where it is used

    access = access_of(options, places[0] if places else None)
    with rendering(Verbosity(-1)) as events:
        store = Store.of_environment(os.environ)
        with open_remote(environment=os.environ, store=store, events=events, access=access) as remote:
            yield places, remote
